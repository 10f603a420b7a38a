import type { components } from "../generated/openapi.js";
import type { Http } from "../http.js";
import { segment } from "../names.js";
import { Problem } from "../problem.js";

export type Question = components["schemas"]["Question"];

/** What one request waits at the server: less than proxies and clients do. */
const WAIT_S = 50;
const REQUEST_MS = 70_000;
/** A question that was sent is applied in a moment; one that is unknown after this many tries was refused. */
const TRIES_UNTIL_KNOWN = 12;

/** The question once it is closed. Failures on the way are tried again, for as long as it takes. */
export async function closed(http: Http, id: string, signal?: AbortSignal): Promise<Question> {
  for (let failures = 0; ; ) {
    signal?.throwIfAborted();
    try {
      const found = await read(http, id, signal);
      if (found.state !== "open") return found;
      failures = 0;
    } catch (error) {
      signal?.throwIfAborted();
      failures += 1;
      if (error instanceof Problem && isFinal(error.status, failures)) throw error;
      await pause(Math.min(100 * 2 ** failures, 5_000), signal);
    }
  }
}

async function read(http: Http, id: string, signal?: AbortSignal): Promise<Question> {
  const limit = AbortSignal.timeout(REQUEST_MS);
  const both = signal ? AbortSignal.any([signal, limit]) : limit;
  const options = { query: { wait_s: WAIT_S }, signal: both };
  return (await http.json<Question>("GET", `/questions/${segment(id)}`, options)).data;
}

function isFinal(status: number, failures: number): boolean {
  if (status === 404) return failures >= TRIES_UNTIL_KNOWN;
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
