import { Problem } from "./problem.js";

export type Token = string | null | undefined;
type QueryValue = string | number | boolean | null | undefined;
export type Query = Record<string, QueryValue | readonly string[]>;

export interface HttpOptions {
  /** Where Runcast answers; empty: the page's own origin. */
  baseUrl?: string;
  /** A token, or what gives the current one; without it the browser's cookie speaks. */
  token?: Token | (() => Token | Promise<Token>);
  fetch?: typeof fetch;
}

export interface RequestOptions {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Without the token: the address itself says who is calling. */
  anonymous?: boolean;
}

/** A request that is ready to be sent. */
export interface Prepared {
  url: string;
  init: { method: string; headers: Record<string, string>; body?: string };
}

/** An answer and the position that its state includes (`Runcast-Head`), where it has one. */
export interface Answer<T> {
  data: T;
  head: number | null;
}

/** Requests with the caller's identity; everything that isn't success is thrown as a `Problem`. */
export class Http {
  readonly baseUrl: string;
  readonly #token: HttpOptions["token"];
  readonly #fetch: typeof fetch;
  #lastToken: Token = null;

  constructor(options: HttpOptions = {}) {
    this.baseUrl = (options.baseUrl ?? "").replace(/\/+$/, "");
    this.#token = options.token;
    this.#fetch = options.fetch ?? ((...args) => fetch(...args));
  }

  /** As the platform's, or the one that was given. */
  fetch(url: string, init: RequestInit): Promise<Response> {
    return this.#fetch(url, init);
  }

  url(path: string, query: Query = {}): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const each of Array.isArray(value) ? value : [value]) {
        if (each !== undefined && each !== null && each !== "") search.append(name, String(each));
      }
    }
    const text = search.toString();
    return `${this.baseUrl}${path}${text ? `?${text}` : ""}`;
  }

  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    this.#lastToken = token;
    if (token && !options.anonymous) headers.Authorization = `Bearer ${token}`;
    const init: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
    if (options.signal) init.signal = options.signal;
    if (options.body instanceof FormData) init.body = options.body;
    else if (options.body !== undefined) {
      headers["Content-Type"] ??= "application/json";
      init.body = JSON.stringify(options.body);
    }
    const response = await this.#fetch(this.url(path, options.query), init);
    if (!response.ok) throw await Problem.from(response);
    return response;
  }

  /** A request with the token that was sent last, for a moment in which nothing can be waited for. */
  prepared(method: string, path: string, body: unknown): Prepared {
    const headers: Record<string, string> = { Accept: "application/json", "Content-Type": "application/json" };
    const token = typeof this.#token === "function" ? this.#lastToken : this.#token;
    if (token) headers.Authorization = `Bearer ${token}`;
    return { url: this.url(path), init: { method, headers, body: JSON.stringify(body) } };
  }

  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<Answer<T>> {
    const response = await this.send(method, path, options);
    const head = response.headers.get("runcast-head");
    const data = (response.status === 204 ? null : await response.json()) as T;
    return { data, head: head === null ? null : Number(head) };
  }
}
