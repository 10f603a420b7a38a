/** A server for tests: each request waits here until the test answers it. */
import { Http } from "../src/index.js";

export class Exchange {
  readonly url: URL;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #resolve!: (response: Response) => void;
  #reject!: (error: Error) => void;
  readonly response: Promise<Response>;

  constructor(
    input: string,
    readonly init: RequestInit,
  ) {
    this.url = new URL(input);
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    init.signal?.addEventListener("abort", () => {
      const reason = new DOMException("aborted", "AbortError");
      this.#reject(reason);
      try {
        this.#controller?.error(reason);
      } catch {
        // The stream ended before.
      }
    });
  }

  get path(): string {
    return this.url.pathname;
  }
  get headers(): Record<string, string> {
    return this.init.headers as Record<string, string>;
  }
  get body(): unknown {
    return JSON.parse(String(this.init.body));
  }
  get isAborted(): boolean {
    return this.init.signal?.aborted ?? false;
  }

  json(body: unknown, status = 200, headers: Record<string, string> = {}): void {
    this.#resolve(new Response(JSON.stringify(body), { status, headers }));
  }
  fail(message: string): void {
    this.#reject(new TypeError(message));
  }
  stream(text = ""): void {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
    });
    this.#resolve(new Response(body, { status: 200 }));
    if (text) this.push(text);
  }
  push(text: string): void {
    this.#controller?.enqueue(new TextEncoder().encode(text));
  }
  end(): void {
    this.#controller?.close();
  }
}

export class TestServer {
  readonly exchanges: Exchange[] = [];
  readonly http = new Http({
    baseUrl: "http://runcast.test",
    token: "rc_test",
    fetch: (input, init) => this.fetch(String(input), init ?? {}),
  });

  fetch(input: string, init: RequestInit): Promise<Response> {
    const exchange = new Exchange(input, init);
    this.exchanges.push(exchange);
    return exchange.response;
  }

  last(path: string): Exchange {
    const found = this.exchanges.findLast((exchange) => exchange.path === path);
    if (!found) throw new Error(`no request to ${path}`);
    return found;
  }
  count(path: string): number {
    return this.exchanges.filter((exchange) => exchange.path === path).length;
  }
}

export function connected(overrides: object = {}): string {
  const data = {
    connection_id: "c1",
    project_id: "p",
    epoch: "e1",
    head: 10,
    resumed_from: null,
    active_runs: [],
    heartbeat_s: 30,
    timeout_m: 60,
    ...overrides,
  };
  return `event: connected\ndata: ${JSON.stringify(data)}\n\n`;
}

export function frame(id: number | string | null, type: string, data: object): string {
  return `${id === null ? "" : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function log(id: number | string | null, run: string, line: number, text = `line ${line}`): string {
  const data = { run_id: run, line_number: line, line: text, ts: "2026-01-31T10:00:00.000Z" };
  return frame(id, "agent:log", data);
}

/** Lets everything that is ready happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 30; i += 1) await Promise.resolve();
}
