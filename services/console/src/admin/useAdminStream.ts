import { useQueryClient } from "@tanstack/react-query";
import { Backoff, SseParser } from "@runcast/client";
import { useEffect, useState } from "react";
import { client } from "../session/session";

/** At most so often what is shown is read anew, however fast events come. */
const READ_MS = 1_000;
export const POLL_MS = 12_000;

/** Follows `/admin/stream`; true while it is open. What its events concern is read anew. */
export function useAdminStream(): boolean {
  const queries = useQueryClient();
  const [isLive, setLive] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onFrame = (): void => {
      setLive(true);
      timer ??= setTimeout(() => {
        timer = undefined;
        void queries.invalidateQueries({ queryKey: ["runtime"] });
      }, READ_MS);
    };
    void follow(onFrame, () => setLive(false), abort.signal);
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [queries]);
  return isLive;
}

async function follow(onFrame: () => void, onLost: () => void, signal: AbortSignal): Promise<void> {
  const backoff = new Backoff();
  while (!signal.aborted) {
    try {
      await readStream(() => {
        backoff.reset();
        onFrame();
      }, signal);
    } catch {
      // It is lost, refused or not there; polling goes on meanwhile.
    }
    if (signal.aborted) return;
    onLost();
    await new Promise((resolve) => setTimeout(resolve, backoff.next()));
  }
}

async function readStream(onFrame: () => void, signal: AbortSignal): Promise<void> {
  const headers = { Accept: "text/event-stream" };
  const response = await client.http.send("GET", "/admin/stream", { headers, signal });
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser({ onFrame });
  for (;;) {
    const chunk = await reader?.read();
    if (!chunk || chunk.done) return;
    parser.feed(decoder.decode(chunk.value, { stream: true }));
  }
}
