import type { Http } from "../http.js";
import { Problem } from "../problem.js";
import * as acceptable from "./acceptable.js";
import { Feeder } from "./feeder.js";
import { uuid7 } from "./ids.js";
import { environment, whenLeaving, whenSignalled } from "./leaving.js";
import { closed, type Question } from "./questions.js";
import { Spool } from "./spool.js";

export interface RecordOptions {
  key?: string;
  name?: string;
  /** The run's steps in their order; the first one is the current one. */
  steps?: readonly string[];
  agentName?: string;
  agentType?: string;
  labels?: Record<string, string>;
  input?: unknown;
  metadata?: Record<string, unknown>;
  /** The run that this one belongs to; in a program under `runcast exec` that command's run. */
  parentRunId?: string | null;
  /** What waits in memory while the server is away; more is dropped, and said. Bytes, 64 MiB. */
  bufferBytes?: number;
  /** In Node: SIGINT and SIGTERM cancel the run, and do then what they did before. */
  handleSignals?: boolean;
  /** Told once of everything that goes wrong on the way to the server; else it is a warning on the console. */
  onWarning?: (text: string) => void;
}

export interface LogOptions {
  level?: string;
  agentName?: string;
  eventType?: string;
  payload?: unknown;
  at?: Date;
}

export interface ProgressOptions {
  percent?: number;
  step?: number;
  totalSteps?: number;
}

export interface UsedRequest {
  id?: string;
  model: string;
  input_tokens?: number;
  output_tokens?: number;
  cache_read_tokens?: number;
  cache_write_tokens?: number;
  reasoning_tokens?: number;
  /** What it cost, where that is known better than from a list of prices. */
  cost_usd?: number;
}

export type QuestionToAsk = { title: string; kind?: string; [field: string]: unknown };

/** How long an end waits for the server without anything arriving. */
const PATIENCE_MS = 30_000;
const UNSAID = "the program ended before it said how its run ended";
const BUFFER_BYTES = 64 * 1024 * 1024;
/** JSON up to here goes in a message, more as a file. */
const MESSAGE_BYTES = 48 * 1024;

/**
 * A run that this program reports. Its methods return at once and never throw: what they are given is made
 * acceptable, kept in order in memory, and sent in the background, again and again while the server is away. Each
 * message is stored once, however often it is sent. `await run.complete()` or `run.fail()` ends it and waits.
 *
 * `run.signal` is aborted when someone cancels the run; hand it to `fetch` and to your own work.
 */
export class RunRecorder {
  readonly id: string;
  readonly project: string;
  readonly #spool: Spool;
  readonly #feeder: Feeder;
  readonly #http: Http;
  readonly #cancel = new AbortController();
  readonly #leave: () => void;
  #isOver = false;
  #toldDropped = 0;

  constructor(http: Http, given: string, options: RecordOptions = {}) {
    const project = acceptable.project(given);
    this.#http = http;
    this.id = uuid7();
    this.project = project;
    this.#spool = new Spool(options.bufferBytes ?? BUFFER_BYTES);
    this.#feeder = new Feeder(http, project, { ...madeOf(options), id: this.id }, this.#spool);
    this.#feeder.onCancelled = () => this.#cancel.abort(new DOMException("the run was cancelled", "AbortError"));
    this.#feeder.onWarning = options.onWarning ?? told;
    const stay = whenLeaving({
      isIdle: () => this.#left(),
      ends: (error) => this.#ends(() => this.fail(error ?? UNSAID)),
      isHidden: () => this.#feeder.sendHidden(),
    });
    const ignore = options.handleSignals ? whenSignalled(() => this.#ends(() => this.cancel())) : stay;
    this.#leave = () => (stay(), ignore());
    this.#feeder.onGivenUp = this.#leave;
    this.#say("agent:started", {}, true);
  }

  /** Aborted when the run is cancelled from elsewhere. */
  get signal(): AbortSignal {
    return this.#cancel.signal;
  }
  get isCancelled(): boolean {
    return this.#cancel.signal.aborted;
  }
  /** Why the server will never take this run; null while there is hope. */
  get failure(): string | null {
    return this.#feeder.failure;
  }
  /** Bytes that the server doesn't have yet. */
  get unsentBytes(): number {
    return this.#spool.bytes;
  }
  /** Messages that were dropped because the buffer was full. The log says so, too. */
  get dropped(): number {
    return this.#spool.dropped;
  }

  log(message: unknown, options: LogOptions = {}): void {
    this.#say("agent:log", {
      message: acceptable.text(message),
      level: acceptable.level(options.level),
      agent_name: acceptable.name(options.agentName),
      event_type: acceptable.name(options.eventType),
      payload: options.payload === undefined ? null : acceptable.json(options.payload, acceptable.PAYLOAD_BYTES),
      ts: time(options.at),
    });
  }

  /** How far the run is; a `stage` that is one of its steps becomes the current one. */
  progress(stage: string, message = "", options: ProgressOptions = {}): void {
    this.#say("run:progress", {
      ts: time(),
      stage: acceptable.name(stage) ?? "-",
      message: acceptable.text(message),
      percent: acceptable.whole(options.percent, 0, 100),
      step: acceptable.whole(options.step),
      total_steps: acceptable.whole(options.totalSteps),
    });
  }

  /** Goes to a step. */
  step(name: string): void {
    this.progress(name);
  }

  /** Keeps JSON, or the bytes of a `Blob` or array, as the next version of the step's artifact. */
  artifact(step: string, content: unknown, mediaType?: string): void {
    const named = acceptable.name(step) ?? "-";
    const file = fileOf(content, mediaType);
    if (file !== null) this.#upload(named, file);
    else {
      const made = acceptable.json(content, Infinity);
      const text = JSON.stringify(made);
      if (text.length > MESSAGE_BYTES) this.#upload(named, new Blob([text], { type: "application/json" }));
      else this.#say("artifact:created", { artifact_id: uuid7(), step_name: named, content: made });
    }
  }

  /** The program's own event, `x:<name>`, with up to 63 KiB of JSON. */
  emit(name: string, data: unknown = {}): void {
    this.#say(acceptable.eventName(name), acceptable.mapping(data, acceptable.EVENT_BYTES));
  }

  /** Other fields of the run. */
  update(changed: { labels?: Record<string, string>; metadata?: Record<string, unknown>; current_step?: string; pr_url?: string; result?: unknown }): void {
    this.#say(
      "run:updated",
      {
        labels: given(changed.labels, acceptable.labels),
        metadata: given(changed.metadata, acceptable.mapping),
        current_step: acceptable.name(changed.current_step),
        pr_url: acceptable.title(changed.pr_url, 2000),
        result: given(changed.result, acceptable.json),
      },
      true,
    );
  }

  /** Requests to models, each counted once by its `id` (`docs/usage.md`); one is made where there is none. */
  usage(requests: readonly UsedRequest[]): void {
    for (const request of Array.isArray(requests) ? (requests as UsedRequest[]) : []) {
      this.#say("run:usage", { requests: [requestOf(request)] });
    }
  }

  /** Asks people, and waits until the question is closed; its `state` and `answer` say how. */
  async ask(question: QuestionToAsk, signal?: AbortSignal): Promise<Question> {
    const id = uuid7();
    const kind = question.kind ?? (question.options ? "choice" : "text");
    this.#say("question:asked", { ...acceptable.mapping({ via: "sdk", ...question, kind }), id }, true);
    const settled = await this.#feeder.settled(PATIENCE_MS);
    if (!settled) throw new Problem(0, "The question didn't reach the server", this.failure ?? this.#feeder.waitsFor);
    return closed(this.#http, id, signal);
  }

  /** Says that nothing may be heard for so long, so that the run isn't taken for stalled. */
  expectSilence(seconds: number): void {
    this.#feeder.promise((acceptable.whole(seconds) ?? 0) * 1000);
  }

  /** Waits until the server has everything said so far; false after so long without anything arriving. */
  flush(patienceMs: number = PATIENCE_MS): Promise<boolean> {
    this.#feeder.hurry();
    return this.#feeder.settled(patienceMs);
  }

  /** Ends the run. True when the server has all of it; false where it is away for longer than 30 s. */
  complete(result?: unknown): Promise<boolean> {
    return this.#end("agent:completed", { result: given(result, acceptable.json) });
  }
  fail(error: unknown, options: { willRetry?: boolean; result?: unknown } = {}): Promise<boolean> {
    return this.#end("agent:failed", {
      error: acceptable.fault(error),
      will_retry: options.willRetry ?? null,
      result: given(options.result, acceptable.json),
    });
  }
  /** Ends the run as cancelled. */
  cancel(): Promise<boolean> {
    return this.#end("run:updated", { status: "cancelled" });
  }

  #end(type: string, data: object): Promise<boolean> {
    if (!this.#isOver) {
      this.#tellDropped();
      this.#say(type, data, true);
      this.#isOver = true;
      this.#feeder.finish();
    }
    return this.flush().finally(this.#leave);
  }

  #say(type: string, data: object, isVital = false): void {
    if (this.#isOver || this.failure !== null) return;
    this.#spool.add({ type, id: uuid7(), run_id: this.id, data: stated(data) }, isVital);
    this.#feeder.wake();
  }

  #upload(step: string, content: Blob): void {
    if (this.#isOver || this.failure !== null) return;
    this.#spool.addUpload({ id: uuid7(), step, content, mediaType: content.type || "application/octet-stream" });
    this.#feeder.wake();
  }

  #tellDropped(): void {
    const dropped = this.#spool.dropped - this.#toldDropped;
    if (dropped === 0) return;
    this.#toldDropped = this.#spool.dropped;
    const message = `${dropped} messages were dropped here: the server was away and the buffer full`;
    this.#say("agent:log", { message, level: "warning", ts: time() }, true);
  }

  /** The program has nothing left to do and didn't end its run. */
  #left(): void {
    if (!this.#isOver) void this.fail(UNSAID);
  }

  /** The program ends in this moment: by `process.exit`, an error that was not caught, a signal. */
  #ends(end: () => Promise<boolean>): void {
    this.#leave();
    if (!this.#isOver) void end();
    this.#feeder.sendLast();
  }
}

/** Records what `work` does: its result completes the run, what it throws fails it and is thrown on. */
export async function recorded<T>(run: RunRecorder, work: (run: RunRecorder) => T | Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work(run);
  } catch (error) {
    await (run.isCancelled ? run.cancel() : run.fail(error));
    throw error;
  }
  await run.complete(result);
  return result;
}

function madeOf(options: RecordOptions): Record<string, unknown> {
  const steps = options.steps && acceptable.steps(options.steps);
  const parent = options.parentRunId === undefined ? environment("RUNCAST_RUN_ID") : options.parentRunId;
  const fields: Record<string, unknown> = {
    key: given(options.key, acceptable.key),
    name: acceptable.title(options.name),
    agent_name: acceptable.name(options.agentName),
    agent_type: acceptable.name(options.agentType),
    labels: given(options.labels, acceptable.labels),
    input: given(options.input, acceptable.json),
    metadata: given(options.metadata, acceptable.mapping),
    parent_run_id: parent && acceptable.isUuid(parent) ? parent : null,
    ...(steps && steps.length > 0 && { steps, current_step: steps[0] }),
  };
  return stated(fields);
}

function told(text: string): void {
  // eslint-disable-next-line no-console -- what is lost must not be lost silently
  console.warn(`runcast: ${text}`);
}

/** What something becomes where it is given, else null. */
function given<T>(value: unknown, made: (value: unknown) => T): T | null {
  return value === undefined || value === null ? null : made(value);
}

/** The members that say something. */
function stated(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

const TOKENS = ["input", "output", "cache_read", "cache_write", "reasoning"] as const;

function requestOf(used: UsedRequest): Record<string, acceptable.Json> {
  const request = acceptable.mapping(used);
  const counted = TOKENS.map((kind) => [`${kind}_tokens`, acceptable.whole(request[`${kind}_tokens`]) ?? 0]);
  const cost = request.cost_usd;
  return {
    ...(Object.fromEntries(counted) as Record<string, number>),
    id: acceptable.name(request.id) ?? uuid7(),
    model: acceptable.name(request.model) ?? "unknown",
    cost_usd: typeof cost === "number" && cost >= 0 ? Math.min(cost, 1_000_000) : null,
  };
}

function fileOf(content: unknown, mediaType: string | undefined): Blob | null {
  if (content instanceof Blob) return mediaType ? new Blob([content], { type: mediaType }) : content;
  const isBytes = content instanceof ArrayBuffer || ArrayBuffer.isView(content);
  if (isBytes || (typeof content === "string" && mediaType !== undefined)) {
    return new Blob([content as BlobPart], { type: mediaType ?? "application/octet-stream" });
  }
  return null;
}

function time(at?: Date): string {
  const given = at instanceof Date ? at.getTime() : NaN;
  return new Date(given >= 0 && given < 253_370_764_800_000 ? given : Date.now()).toISOString();
}
