import { Backoff } from "../backoff.js";
import type { Http, Prepared } from "../http.js";
import { segment } from "../names.js";
import { Problem } from "../problem.js";
import type { Run } from "../types.js";
import { sendNow } from "./leaving.js";
import type { Portion, Spool, Upload } from "./spool.js";

const WORTH_RETRYING: ReadonlySet<number> = new Set([401, 403, 408, 425, 429]);
const OF_CONTENT: ReadonlySet<number> = new Set([400, 413, 422]);
/** Of what a run is made, the members without which it still is one. */
const SPARE = ["parent_run_id", "labels", "metadata", "input", "name", "agent_name", "agent_type", "phase"] as const;
const REQUEST_MS = 30_000;
const HEARTBEAT_MS = 10_000;
/** How long a program that ends is held for what it said last; shorter where the server is known to be away. */
const LAST_MS = 5_000;
const LAST_MS_AWAY = 500;
/** What all requests together may hold that outlive their page (64 KiB), less what is around the lines. */
const HIDDEN_BYTES = 56 * 1024;

type Cursor = { generation: number; next_line: number };
type Made = Record<string, unknown> & { id: string };

/** The server will never take this run. */
class Refused extends Error {}

/**
 * Brings a spool to the server: one request at a time, again after every failure, from where the server says it is.
 * Nothing that goes wrong is thrown; `failure` says why a run is given up.
 */
export class Feeder {
  failure: string | null = null;
  /** Why it waits just now, or null. */
  waitsFor: string | null = null;
  runId: string;
  /** Called when the server says that the run was cancelled. */
  onCancelled: () => void = () => undefined;
  /** Called when the server will never take this run. */
  onGivenUp: () => void = () => undefined;
  /** Told once of each thing that was refused. */
  onWarning: (text: string) => void = () => undefined;

  readonly #backoff = new Backoff();
  #isKnown = false;
  #isRunning = false;
  #isFinished = false;
  #hasEnded = false;
  #promisedUntil = 0;
  #timer: Timer | null = null;
  #heart: Timer | null = null;
  #waiters = new Set<() => void>();

  constructor(
    private readonly http: Http,
    private readonly project: string,
    private readonly made: Made,
    private readonly spool: Spool,
  ) {
    this.runId = made.id;
  }

  /** Whether the server has everything that was said, or never will. */
  get isDone(): boolean {
    return this.failure !== null || (this.spool.isEmpty && (!this.#isFinished || this.#hasEnded));
  }

  /** There is something to send. */
  wake(): void {
    if (!this.#isRunning && this.#timer === null && this.failure === null) this.#schedule(0);
  }

  /** Nothing follows: the log may be closed. */
  finish(): void {
    this.#isFinished = true;
    if (this.#heart !== null) clearTimeout(this.#heart);
    this.wake();
  }

  /** Nothing may be heard for so long. */
  promise(ms: number): void {
    this.#promisedUntil = Date.now() + ms;
  }

  /** Tries again now instead of after the pause. */
  hurry(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.wake();
  }

  /** The program ends now: what the server doesn't have is sent while it waits, or told. */
  sendLast(): void {
    if (this.isDone) return;
    const portions = this.spool.rest();
    const messages = portions.map((portion) => this.#prepared(portion));
    if (this.#isFinished) messages.push(this.#prepared(endOf(portions.at(-1) ?? this.spool.read(0)), { reason: "status" }));
    const requests = this.#isKnown ? messages : [this.#made(), ...messages];
    const accepted = sendNow(requests, this.waitsFor === null ? LAST_MS : LAST_MS_AWAY);
    const hasFiles = this.spool.hasUploads;
    if (accepted < requests.length || hasFiles) {
      const what = accepted < requests.length ? "what it said last" : "its last files";
      this.#warn(`run ${this.runId}: the program ended before ${what} could be sent; await its complete() or flush() first`);
    }
  }

  /** The page is left, perhaps for good: the beginning of what waits goes out in a request that outlives it. */
  sendHidden(): void {
    const [portion] = this.#isKnown && this.failure === null ? this.spool.rest(HIDDEN_BYTES) : [];
    if (portion === undefined) return;
    const { url, init } = this.#prepared(portion);
    // Sent again by a page that lives on, it is stored once.
    this.http.fetch(url, { ...init, keepalive: true }).catch(() => undefined);
  }

  /** Waits until everything is at the server, for at most so long without anything arriving; whether it is. */
  async settled(patienceMs: number): Promise<boolean> {
    let before = this.spool.sent;
    let until = Date.now() + patienceMs;
    while (!this.isDone && Date.now() < until) {
      await this.#step(until - Date.now());
      if (this.spool.sent !== before) until = Date.now() + patienceMs;
      before = this.spool.sent;
    }
    return this.isDone && this.failure === null;
  }

  /** Until something moves, or so long. This timer keeps a program alive: someone waits. */
  #step(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(ms, 0));
      this.#waiters.add(done);
    });
  }

  #schedule(ms: number): void {
    this.#timer = quiet(
      setTimeout(() => {
        this.#timer = null;
        void this.#run();
      }, ms),
    );
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.failure === null && !this.isDone) {
        await this.#once();
        this.#backoff.reset();
        this.waitsFor = null;
        this.#tell();
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isRunning = false;
      this.#tell();
    }
  }

  #failed(error: unknown): void {
    if (error instanceof Refused) {
      this.failure = error.message;
      this.spool.clear();
      this.onGivenUp();
      this.#warn(`run ${this.runId} is not reported any more: ${error.message}`);
      return;
    }
    const text = error instanceof Error ? error.message : String(error);
    if (this.waitsFor === null) this.#warn(`run ${this.runId} waits for the server: ${text}`);
    this.waitsFor = text;
    const asked = error instanceof Problem && error.retryAfter !== null ? error.retryAfter * 1000 : 0;
    this.#schedule(Math.max(this.#backoff.next(), Math.min(asked, 600_000)));
  }

  async #once(): Promise<void> {
    if (!this.#isKnown) await this.#open();
    const upload = this.spool.upload();
    if (upload) await this.#upload(upload);
    else if (!this.spool.isEmpty) await this.#sendLines();
    else if (this.#isFinished && !this.#hasEnded) {
      await this.#post(this.spool.read(), { reason: "status" });
      this.#hasEnded = true;
    }
  }

  async #open(): Promise<void> {
    await this.#create({ ...this.made, status: "queued" });
    const empty = { generation: 1, firstLine: 1, firstOffset: 0, nextOffset: 0, lines: [] };
    const cursor = await this.#post(empty);
    if (cursor.next_line > 1) this.spool.seek(cursor.generation, cursor.next_line);
    this.#isKnown = true;
    this.#beatLater();
  }

  /** Makes the run. `mayMake`: its project, too, once; one that is there and hidden from us is none of ours. */
  async #create(fields: Made, mayMake = true): Promise<void> {
    try {
      const path = `/projects/${segment(this.project)}/runs`;
      this.runId = (await this.#json<Run>("POST", path, fields)).id;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 404 && mayMake) {
        await this.#createProject();
        return this.#create(fields, false);
      }
      if (error.status === 409 && "key" in fields && !String(fields.key).endsWith(ending(fields.id))) {
        const key = `${String(fields.key).slice(0, 120)}-${ending(fields.id)}`;
        this.#warn(`the key ${String(fields.key)} is taken in ${this.project}: there the run is ${key}`);
        return this.#create({ ...fields, key }, mayMake);
      }
      if (OF_CONTENT.has(error.status) && SPARE.some((field) => field in fields)) {
        this.#warn(`the server refuses what run ${fields.id} is made of: ${error.message}`);
        const kept = Object.entries(fields).filter(([field]) => !(SPARE as readonly string[]).includes(field));
        return this.#create(Object.fromEntries(kept) as Made, mayMake);
      }
      throw judged(error);
    }
  }

  async #createProject(): Promise<void> {
    try {
      await this.#json("POST", "/projects", { name: this.project, slug: this.project });
    } catch (error) {
      if (!(error instanceof Problem) || error.status === 409) return;
      throw error.status === 403 ? new Refused(`project ${this.project} doesn't exist and this token can't create it`) : judged(error);
    }
  }

  /** Sends lines. Where they are refused for their content, the one to blame is found, and it alone is lost. */
  async #sendLines(): Promise<void> {
    for (let limit = 500; ; limit = Math.ceil(limit / 2)) {
      const portion = this.spool.read(limit);
      try {
        const cursor = await this.#post(portion);
        this.spool.seek(cursor.generation, cursor.next_line);
        if (isAt(this.spool.read(1), portion)) throw new Error("the server took nothing");
        return;
      } catch (error) {
        if (!(error instanceof Problem) || !OF_CONTENT.has(error.status)) throw error;
        limit = Math.min(limit, portion.lines.length);
        if (limit > 1) continue;
        this.#warn(`the server refuses a message of run ${this.runId}: ${error.message}`);
        this.spool.blank();
        return;
      }
    }
  }

  async #upload(upload: Upload): Promise<void> {
    const form = new FormData();
    form.append("id", upload.id);
    form.append("step_name", upload.step);
    form.append("file", new Blob([upload.content], { type: upload.mediaType }), "content");
    try {
      await this.http.send("POST", `/runs/${segment(this.runId)}/artifacts`, { body: form, signal: soon(600_000) });
    } catch (error) {
      if (!(error instanceof Problem) || isWorthRetrying(error)) throw error;
      this.#warn(`the server refused the artifact ${upload.step} of run ${this.runId}: ${error.message}`);
    }
    this.spool.uploaded();
  }

  #prepared(portion: Portion, closed?: object): Prepared {
    return this.http.prepared("POST", this.#logs, this.#message(portion, closed));
  }

  #made(): Prepared {
    return this.http.prepared("POST", `/projects/${segment(this.project)}/runs`, { ...this.made, status: "queued" });
  }

  get #logs(): string {
    return `/runs/${segment(this.runId)}/logs`;
  }

  #message(portion: Portion, closed?: object): object {
    return {
      type: "lines",
      run_id: this.runId,
      source: "spool.jsonl",
      generation: portion.generation,
      first_line: portion.firstLine,
      first_offset: portion.firstOffset,
      next_offset: portion.nextOffset,
      lines: portion.lines,
      ...(closed && { closed }),
    };
  }

  async #post(portion: Portion, closed?: object): Promise<Cursor> {
    try {
      return await this.#json<Cursor>("POST", this.#logs, this.#message(portion, closed));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // An empty line stands where one was refused before: it is never to blame.
      const isOfLines = OF_CONTENT.has(error.status) && portion.lines.some((line) => line !== "");
      throw isOfLines ? error : judged(error);
    }
  }

  #beatLater(): void {
    if (this.#isFinished || this.failure !== null) return;
    this.#heart = quiet(setTimeout(() => void this.#beat(), HEARTBEAT_MS));
  }

  async #beat(): Promise<void> {
    const left = (this.#promisedUntil - Date.now()) / 1000;
    const body = left > 0 ? { expect_next_in_s: Math.ceil(left) } : {};
    try {
      const path = `/runs/${segment(this.runId)}/heartbeat`;
      if ((await this.#json<{ cancelled: boolean }>("POST", path, body)).cancelled) this.onCancelled();
    } catch {
      // The next one says it.
    }
    this.#beatLater();
  }

  async #json<T>(method: string, path: string, body: unknown): Promise<T> {
    return (await this.http.json<T>(method, path, { body, signal: soon(REQUEST_MS) })).data;
  }

  /** A host's own function may throw; sending goes on. */
  #warn(text: string): void {
    try {
      this.onWarning(text);
    } catch {
      // Told as well as it could be.
    }
  }

  #tell(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}

type Timer = ReturnType<typeof setTimeout>;

/** A timer that doesn't keep a Node program from ending. */
function quiet(timer: Timer): Timer {
  (timer as unknown as { unref?: () => void }).unref?.();
  return timer;
}

function soon(ms: number): AbortSignal {
  return AbortSignal.timeout(ms);
}

function ending(id: string): string {
  return id.slice(-6);
}

/** The place behind a portion, with no lines. */
function endOf(portion: Portion): Portion {
  const { generation, nextOffset } = portion;
  return { generation, firstLine: portion.firstLine + portion.lines.length, firstOffset: nextOffset, nextOffset, lines: [] };
}

function isAt(next: Portion, portion: Portion): boolean {
  return next.generation === portion.generation && next.firstLine === portion.firstLine && next.lines.length > 0;
}

function isWorthRetrying(problem: Problem): boolean {
  return problem.status >= 500 || WORTH_RETRYING.has(problem.status);
}

function judged(problem: Problem): Error {
  return isWorthRetrying(problem) ? problem : new Refused(problem.message);
}
