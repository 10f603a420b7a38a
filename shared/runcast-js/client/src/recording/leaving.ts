/**
 * A program's end, in Node and in browsers. Nothing asynchronous gets done once it has come, so what is left goes
 * out in the one way that still works there: from a thread of its own that is waited for, or by requests that
 * outlive their page.
 */
import type { Prepared } from "../http.js";

/** Is told that the program ends. */
export interface Leaving {
  /** There is nothing left to do, but what is begun now is still done (Node's `beforeExit`). */
  isIdle(): void;
  /** It ends now: only what is done at once is done. `error`: what was not caught, where that is why. */
  ends(error?: unknown): void;
  /** The page is left, perhaps for good (a browser's `pagehide`). */
  isHidden(): void;
}

interface NodeProcess {
  env: Record<string, string | undefined>;
  readonly pid: number;
  on(event: string, listener: (...args: unknown[]) => void): void;
  once(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
  listenerCount(event: string): number;
  kill(pid: number, signal: string): void;
  getBuiltinModule?(name: string): unknown;
}

interface Worker {
  on(event: "error", listener: () => void): void;
}
interface WorkerThreads {
  Worker: new (code: string, options: object) => Worker;
}

/** Runs in the thread: request after request, as a program that ends can't. */
const SENDING = `
const { workerData: { requests, done } } = require("node:worker_threads");
(async () => {
  let accepted = 0;
  try {
    for (const { url, init } of requests) {
      const response = await fetch(url, init);
      await response.arrayBuffer();
      if (response.ok) accepted += 1;
    }
  } catch {}
  Atomics.store(done, 1, accepted);
  Atomics.store(done, 0, 1);
  Atomics.notify(done, 0);
})();`;

const leaving = new Set<Leaving>();
let isListening = false;

/** Tells `who` of the program's end. Answers what takes that back. */
export function whenLeaving(who: Leaving): () => void {
  if (!isListening) listen();
  leaving.add(who);
  return () => leaving.delete(who);
}

/**
 * In Node: calls `stop` on SIGINT and SIGTERM, which do then what they did before: what the program's own
 * listeners do, or end it. Answers what takes that back.
 */
export function whenSignalled(stop: () => void): () => void {
  const found = node();
  if (typeof found?.once !== "function") return () => undefined;
  const listeners = ["SIGINT", "SIGTERM"].map((signal) => {
    const listener = (): void => {
      stop();
      if (found.listenerCount(signal) === 0) found.kill(found.pid, signal);
    };
    found.once(signal, listener);
    return () => found.off(signal, listener);
  });
  return () => listeners.forEach((off) => off());
}

/** An environment variable; null without one, and in a browser. */
export function environment(name: string): string | null {
  return node()?.env?.[name] ?? null;
}

/**
 * Sends requests one after the other while the program is stopped, for at most so long; answers how many of
 * them the server accepted. 0 where there is no way to do that.
 */
export function sendNow(requests: readonly Prepared[], patienceMs: number): number {
  try {
    const threads = node()?.getBuiltinModule?.("node:worker_threads") as WorkerThreads | undefined;
    if (threads === undefined) return 0;
    const done = new Int32Array(new SharedArrayBuffer(8));
    // Of its own streams, so that it writes nothing into those of a program that ends.
    const options = { eval: true, execArgv: [], stdout: true, stderr: true, workerData: { requests, done } };
    new threads.Worker(SENDING, options).on("error", () => undefined);
    Atomics.wait(done, 0, 0, patienceMs);
    return Atomics.load(done, 1);
  } catch {
    return 0; // no threads here: what isn't sent is told
  }
}

function listen(): void {
  isListening = true;
  const found = node();
  if (typeof found?.on === "function") {
    let uncaught: unknown;
    found.on("beforeExit", () => each((who) => who.isIdle()));
    found.on("uncaughtExceptionMonitor", (error) => (uncaught = error));
    found.on("exit", () => each((who) => who.ends(uncaught)));
  } else if (typeof addEventListener === "function") {
    addEventListener("pagehide", () => each((who) => who.isHidden()));
  }
}

function each(tell: (who: Leaving) => void): void {
  for (const who of [...leaving]) {
    try {
      tell(who);
    } catch {
      // One run's trouble is not another's, nor the program's.
    }
  }
}

function node(): NodeProcess | undefined {
  return (globalThis as { process?: NodeProcess }).process;
}
