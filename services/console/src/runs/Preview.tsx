import type { Artifact } from "@runcast/client";
import { useQuery } from "@tanstack/react-query";
import { FileQuestion } from "lucide-react";
import { Suspense, lazy, useEffect, useState } from "react";
import { Spinner } from "../design/Button";
import { Failure } from "../design/Failure";
import { Empty } from "../design/Surface";
import { client } from "../session/session";
import { useText } from "./useText";
import { Json } from "./Json";

const Markdown = lazy(() => import("./Markdown"));
const MAX_PREVIEW_BYTES = 1024 * 1024;
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);

export const isText = ({ media_type: type }: Artifact): boolean =>
  type.startsWith("text/") || /[/+](json|xml|yaml|toml|javascript)$/.test(type);

/** What an artifact holds, as far as it can be shown without running any of it. */
export function Preview({ artifact }: { artifact: Artifact }) {
  if (artifact.size > MAX_PREVIEW_BYTES && !IMAGES.has(artifact.media_type)) {
    return <Unshown text="It is too large to show here; download it." />;
  }
  if (IMAGES.has(artifact.media_type)) return <Picture artifact={artifact} />;
  if (isText(artifact)) return <Text artifact={artifact} />;
  return <Unshown text="This kind of file can't be shown; download it." />;
}

function Unshown({ text }: { text: string }) {
  return (
    <Empty icon={<FileQuestion />} title="No preview">
      {text}
    </Empty>
  );
}

function Text({ artifact }: { artifact: Artifact }) {
  const text = useText(artifact);
  if (text.error) return <Failure error={text.error} onRetry={() => void text.refetch()} />;
  if (text.data === undefined) return <Spinner />;
  if (artifact.media_type === "application/json") return <JsonText text={text.data} />;
  if (artifact.media_type === "text/markdown") {
    return (
      <Suspense fallback={<Spinner />}>
        <Markdown text={text.data} />
      </Suspense>
    );
  }
  return <pre className="font-mono text-xs leading-5 break-words whitespace-pre-wrap">{text.data}</pre>;
}

function JsonText({ text }: { text: string }) {
  const value = parsed(text);
  if (value !== undefined) return <Json value={value} />;
  return <pre className="font-mono text-xs leading-5 whitespace-pre-wrap">{text}</pre>;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function Picture({ artifact }: { artifact: Artifact }) {
  const [url, setUrl] = useState<string | null>(null);
  const blob = useQuery({
    queryKey: ["artifact blob", artifact.id],
    queryFn: async ({ signal }) => (await client.artifactContent(artifact.id, signal)).blob(),
    staleTime: Infinity,
  });
  useEffect(() => {
    if (!blob.data) return undefined;
    const made = URL.createObjectURL(blob.data);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob.data]);
  if (blob.error) return <Failure error={blob.error} />;
  if (!url) return <Spinner />;
  return <img src={url} alt={`${artifact.step_name}, version ${artifact.version}`} className="max-h-96 max-w-full rounded-md" />;
}
