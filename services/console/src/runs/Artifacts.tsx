import type { UseQueryResult } from "@tanstack/react-query";
import type { Artifact, Run } from "@runcast/client";
import { Copy, Download, FileDiff, Package } from "lucide-react";
import { useMemo, useState } from "react";
import { Badge } from "../design/Badge";
import { Button, Spinner } from "../design/Button";
import { Failure } from "../design/Failure";
import { Select } from "../design/Field";
import { Card, Empty, Rows } from "../design/Surface";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import { cx } from "../design/classes";
import { copyText } from "../design/clipboard";
import { bytes, count } from "../design/format";
import { saveAs } from "../log/save";
import { client } from "../session/session";
import { Preview, isText } from "./Preview";
import { type DiffLine, diffLines } from "./diff";
import { hunksOf } from "./hunks";
import { useText } from "./useText";

export function Artifacts({
  run,
  artifacts,
}: {
  run: Run;
  artifacts: UseQueryResult<Artifact[]>;
}) {
  const steps = useMemo(() => byStep(run, artifacts.data ?? []), [run, artifacts.data]);
  if (artifacts.error && !artifacts.data) return <Failure error={artifacts.error} />;
  if (artifacts.isPending) return <Rows count={3} className="h-24" />;
  if (steps.length === 0) {
    return (
      <Empty icon={<Package />} title="No artifacts yet">
        What the run's steps produce appears here, version by version.
      </Empty>
    );
  }
  return (
    <div className="flex flex-col gap-4 px-4 py-5 sm:px-6">
      {steps.map(([step, versions]) => (
        <StepArtifacts key={step} step={step} versions={versions} />
      ))}
    </div>
  );
}

/** Steps in the run's own order, others after them; versions newest first. */
function byStep(run: Run, artifacts: readonly Artifact[]): [string, Artifact[]][] {
  const steps = new Map<string, Artifact[]>();
  for (const step of run.steps) steps.set(step, []);
  for (const artifact of artifacts) {
    steps.set(artifact.step_name, [...(steps.get(artifact.step_name) ?? []), artifact]);
  }
  for (const versions of steps.values()) versions.sort((a, b) => b.version - a.version);
  return [...steps].filter(([, versions]) => versions.length > 0);
}

function StepArtifacts({ step, versions }: { step: string; versions: Artifact[] }) {
  const say = useToast();
  const [chosen, setChosen] = useState<number | null>(null);
  const [compared, setCompared] = useState<number | null>(null);
  const shown = versions.find(({ version }) => version === chosen) ?? versions[0];
  const other = versions.find(({ version }) => version === compared);
  if (!shown) return null;
  const copy = async (): Promise<void> => {
    try {
      await copyText(await (await client.artifactContent(shown.id)).text());
      say("Copied");
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const download = async (): Promise<void> => {
    try {
      const extension = EXTENSIONS[shown.media_type] ?? "bin";
      const name = shown.filename ?? `${step}-v${shown.version}.${extension}`;
      await saveAs(await client.artifactContent(shown.id), name);
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  return (
    <Card>
      <header className="flex flex-wrap items-center gap-2 border-b px-4 py-2.5">
        <h2 className="text-base font-semibold break-words">{step}</h2>
        <Badge tone="accent">v{shown.version}</Badge>
        <span className="min-w-0 text-xs break-words text-muted">
          {shown.filename && <span className="mr-1 font-mono">{shown.filename}</span>}
          {shown.filename && "· "}
          {shown.media_type} · {bytes(shown.size)} · <Ago at={shown.created_at} />
        </span>
        <div className="ml-auto flex flex-wrap items-center gap-2">
          {versions.length > 1 && (
            <>
              <Select
                size="sm"
                aria-label={`Version of ${step}`}
                className="w-auto!"
                value={shown.version}
                onChange={(event) => setChosen(Number(event.target.value))}
              >
                {versions.map(({ version }) => (
                  <option key={version} value={version}>
                    Version {version}
                  </option>
                ))}
              </Select>
              {isText(shown) && (
                <Select
                  size="sm"
                  aria-label={`Compare ${step} with`}
                  className="w-auto!"
                  value={compared ?? ""}
                  onChange={(event) => setCompared(event.target.value ? Number(event.target.value) : null)}
                >
                  <option value="">Compare with…</option>
                  {versions
                    .filter(({ version }) => version !== shown.version)
                    .map(({ version }) => (
                      <option key={version} value={version}>
                        Version {version}
                      </option>
                    ))}
                </Select>
              )}
            </>
          )}
          {isText(shown) && (
            <Button size="sm" icon={<Copy />} onClick={() => void copy()}>
              Copy
            </Button>
          )}
          <Button size="sm" icon={<Download />} onClick={() => void download()}>
            Download
          </Button>
        </div>
      </header>
      <div className="max-h-[32rem] overflow-auto p-4">
        {other ? (
          <Difference key={`${other.id} ${shown.id}`} before={other} after={shown} />
        ) : (
          <Preview key={shown.id} artifact={shown} />
        )}
      </div>
    </Card>
  );
}

const EXTENSIONS: Record<string, string> = {
  "application/json": "json",
  "text/markdown": "md",
  "text/plain": "txt",
  "text/html": "html",
  "image/png": "png",
  "image/jpeg": "jpg",
  "application/zip": "zip",
};

function Difference({ before, after }: { before: Artifact; after: Artifact }) {
  const old = useText(before);
  const fresh = useText(after);
  const lines = useMemo(
    () => (old.data !== undefined && fresh.data !== undefined ? diffLines(old.data, fresh.data) : null),
    [old.data, fresh.data],
  );
  const error = old.error ?? fresh.error;
  if (error) return <Failure error={error} />;
  if (!lines) return <Spinner />;
  if (lines.every(({ kind }) => kind === "same")) {
    return <Empty icon={<FileDiff />} title="The two versions are the same" />;
  }
  return (
    <div>
      <p className="mb-2 text-xs text-muted">
        From version {before.version} to version {after.version}
      </p>
      <pre className="font-mono text-xs leading-5">
        {hunksOf(lines).map((hunk, at) =>
          hunk.kind === "lines" ? (
            <Changed key={at} lines={hunk.lines} />
          ) : (
            <Same key={at} lines={hunk.lines} />
          ),
        )}
      </pre>
    </div>
  );
}

/** As many lines of a change are drawn at first, and again each time more are asked for. */
const DRAWN_LINES = 1_000;

/** Lines of a change with those around it. */
export function Changed({ lines }: { lines: readonly DiffLine[] }) {
  const [drawn, setDrawn] = useState(DRAWN_LINES);
  const left = lines.length - drawn;
  return (
    <>
      {lines.slice(0, drawn).map((line, index) => (
        <Line key={index} line={line} />
      ))}
      {left > 0 && (
        <button
          type="button"
          onClick={() => setDrawn(drawn + DRAWN_LINES)}
          className="my-1 block w-full rounded-sm bg-sunken px-2 text-left text-muted hover:text-fg"
        >
          ⋯ {count(left)} more {left === 1 ? "line" : "lines"}
        </button>
      )}
    </>
  );
}

/** Lines that are the same in both versions, shown when they are asked for. */
function Same({ lines }: { lines: readonly DiffLine[] }) {
  const [isOpen, setOpen] = useState(false);
  if (isOpen) return lines.map((line, index) => <Line key={index} line={line} />);
  return (
    <button
      type="button"
      onClick={() => setOpen(true)}
      className="my-1 block w-full rounded-sm bg-sunken px-2 text-left text-muted hover:text-fg"
    >
      ⋯ {count(lines.length)} {lines.length === 1 ? "line is" : "lines are"} the same
    </button>
  );
}

function Line({ line: { kind, text } }: { line: DiffLine }) {
  return (
    <div
      className={cx(
        "px-2 break-words whitespace-pre-wrap",
        kind === "added" && "bg-ok-soft text-ok",
        kind === "removed" && "bg-bad-soft text-bad",
      )}
    >
      <span className="select-none">{{ same: "  ", added: "+ ", removed: "- " }[kind]}</span>
      {text}
    </div>
  );
}
