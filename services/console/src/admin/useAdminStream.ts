import { useQueryClient } from "@tanstack/react-query";
import { Backoff, type ConnectionState, SseParser } from "@runcast/client";
import { useEffect, useRef, useState } from "react";
import { client } from "../session/session";
import type { ShownConnection } from "../shell/ConnectionState";

/** At most so often what is shown is read again, however fast events come. */
const READ_MS = 1_000;
export const POLL_MS = 12_000;

/** Follows `/admin/stream`, and says how that goes. What its events concern is read again. */
export function useAdminStream(): ShownConnection {
  const queries = useQueryClient();
  const [state, setState] = useState<ConnectionState>({ status: "connecting" });
  const stream = useRef<AdminStream | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const opened = new AdminStream(setState, () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void queries.invalidateQueries({ queryKey: ["runtime"] });
      }, READ_MS);
    });
    stream.current = opened;
    return () => {
      opened.close();
      clearTimeout(timer);
    };
  }, [queries]);
  const [retryNow] = useState(() => () => stream.current?.retryNow());
  return { state, retryNow };
}

class AdminStream {
  readonly #abort = new AbortController();
  readonly #backoff = new Backoff();
  #wake: (() => void) | null = null;
  #isLive = false;

  constructor(
    private readonly onState: (state: ConnectionState) => void,
    private readonly onFrame: () => void,
  ) {
    void this.#follow();
  }

  retryNow(): void {
    this.#wake?.();
  }

  close(): void {
    this.#abort.abort();
    this.#wake?.();
  }

  async #follow(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      let reason = "the server ended the stream";
      try {
        await this.#read();
      } catch (error) {
        reason = (error as Error).message;
      }
      this.#isLive = false;
      if (!this.#abort.signal.aborted) await this.#pause(reason);
    }
  }

  async #read(): Promise<void> {
    const headers = { Accept: "text/event-stream" };
    const { signal } = this.#abort;
    const response = await client.http.send("GET", "/admin/stream", { headers, signal });
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser({ onFrame: () => this.#frame() });
    for (;;) {
      const chunk = await reader?.read();
      if (!chunk || chunk.done) return;
      parser.feed(decoder.decode(chunk.value, { stream: true }));
    }
  }

  #frame(): void {
    this.#backoff.reset();
    if (!this.#isLive) this.onState({ status: "live", connectionId: "" });
    this.#isLive = true;
    this.onFrame();
  }

  async #pause(reason: string): Promise<void> {
    const wait = this.#backoff.next();
    const { attempt } = this.#backoff;
    this.onState({ status: "reconnecting", attempt, retryAt: Date.now() + wait, reason });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}
