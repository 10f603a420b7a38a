import type { Artifact } from "@runcast/client";
import { useQuery } from "@tanstack/react-query";
import { client } from "../session/session";

/** An artifact's text; JSON with its lines laid out, so that versions compare line by line. */
export function useText(artifact: Artifact) {
  return useQuery({
    queryKey: ["artifact text", artifact.id],
    queryFn: async ({ signal }) => {
      const text = await (await client.artifactContent(artifact.id, signal)).text();
      return artifact.media_type === "application/json" ? laidOut(text) : text;
    },
    staleTime: Infinity,
  });
}

function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
