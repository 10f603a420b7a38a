import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  FilteredLog,
  type LineFilter,
  type LogEntry,
  NO_SEARCH,
  type RuncastEvent,
  RuncastClient,
  type SearchState,
  searchLog,
  withoutEscapes,
} from "../src/index.js";

interface Line {
  text: string;
  level: string | null;
  agent: string | null;
}

/** A server that holds a log, answers pages of what a filter wants, and is slow, cut short or failing. */
class LogServer {
  readonly lines: Line[] = [];
  /** Lines that one request looks through before it answers with a cursor. */
  reach = Infinity;
  /** Whether the next request fails. */
  failures: boolean[] = [];
  requests = 0;
  readonly client = new RuncastClient({
    baseUrl: "http://runcast.test",
    token: "rc_test",
    fetch: (input, init) => this.#answer(new URL(String(input)), init?.signal),
  });

  add(...lines: Line[]): RuncastEvent[] {
    const from = this.lines.length;
    this.lines.push(...lines);
    return lines.map(({ text, level, agent }, place) => ({
      id: from + place + 1,
      type: "agent:log",
      data: { run_id: "r", line_number: from + place + 1, line: text, level, agent_name: agent, ts: null },
    }));
  }

  matching(filter: LineFilter): number[] {
    return this.lines.flatMap((line, place) => (wants(filter, line) ? [place + 1] : []));
  }

  async #answer(url: URL, signal?: AbortSignal | null): Promise<Response> {
    this.requests += 1;
    const held = [...this.lines];
    await new Promise((resolve) => setTimeout(resolve, 5));
    signal?.throwIfAborted();
    if (this.failures.shift()) return new Response(JSON.stringify({ title: "Down" }), { status: 503 });
    const search = url.pathname.endsWith("/search");
    return search ? this.#search(url.searchParams, held) : this.#page(url.searchParams, held);
  }

  #page(asked: URLSearchParams, held: Line[]): Response {
    const filter = filterOf(asked);
    const fromEnd = asked.has("tail");
    const limit = Number(asked.get("tail") ?? asked.get("limit"));
    const [after, before] = asked.has("cursor")
      ? asked.get("cursor")!.split(",").map(Number)
      : [Number(asked.get("after_line") ?? 0), Number(asked.get("before_line") ?? held.length + 1)];
    const window = held.map((_, place) => place + 1).filter((n) => n > after! && n < before!);
    if (fromEnd) window.reverse();
    const found: LogEntry[] = [];
    let next: string | null = null;
    for (const [place, number] of window.entries()) {
      if (found.length === limit || place >= this.reach) {
        next = fromEnd ? `${after},${number + 1}` : `${number - 1},${before}`;
        break;
      }
      if (wants(filter, held[number - 1]!)) found.push(entry(number, held[number - 1]!));
    }
    if (fromEnd) found.reverse();
    return Response.json({ logs: found, next_cursor: next });
  }

  #search(asked: URLSearchParams, held: Line[]): Response {
    const filter = filterOf(asked);
    const from = Number(asked.get("from_line"));
    const to = Math.min(held.length, from + this.reach - 1);
    const found = held.flatMap((line, place) =>
      place + 1 >= from && place + 1 <= to && wants(filter, line) ? [entry(place + 1, line)] : [],
    );
    const end = { searched_to_line: to, matches: found.length, done: to >= held.length };
    return new Response([...found, end].map((item) => `${JSON.stringify(item)}\n`).join(""));
  }
}

const entry = (number: number, { text, level, agent }: Line): LogEntry => ({
  id: number,
  run_id: "r",
  line_number: number,
  ts: "2026-01-31T10:00:00.000Z",
  level: level ?? "info",
  agent_name: agent,
  event_type: null,
  message: text,
  payload: null,
  source: "logs.txt",
  source_line: number,
});

const filterOf = (asked: URLSearchParams): LineFilter => ({
  q: asked.get("q") ?? "",
  regex: asked.get("regex") === "true",
  level: asked.get("level") ?? "",
  agent: asked.get("agent_name") ?? "",
});

/** What `grep` finds in what a reader sees. */
function wants(filter: LineFilter, { text, level, agent }: Line): boolean {
  const shown = withoutEscapes(text).replaceAll("\0", "␀");
  if (filter.level && level !== filter.level) return false;
  if (filter.agent && agent !== filter.agent) return false;
  if (!filter.q) return true;
  if (filter.regex) return new RegExp(filter.q).test(shown);
  return folded(shown).includes(folded(filter.q));
}

/** Case folding of the letters that these tests hold, by Unicode's table. */
const folded = (text: string): string => [...text].map((each) => FOLDS[each] ?? each.toLowerCase()).join("");
const FOLDS: Record<string, string> = { ß: "ss", ẞ: "ss", ſ: "s", ς: "σ", ﬁ: "fi", ŉ: "ʼn", ᾳ: "αι", ı: "ı" };

const shown = (log: FilteredLog): number[] =>
  Array.from({ length: log.length }, (_, place) => log.numberAt(place));

/** Scrolls to the beginning until everything is there. */
async function settled(log: FilteredLog): Promise<void> {
  for (let turn = 0; turn < 400; turn += 1) {
    log.show(0);
    await vi.advanceTimersByTimeAsync(2_500);
    if (log.hasAll && !log.error && turn > 2) return;
  }
}

const text = fc.oneof(
  fc.constantFrom(
    "\x1b[31mERROR\x1b[0m in src/levels/997.ts",
    "er\x1b[1mror",
    "downloading 12%\rdownloading 57%",
    "état du projet 🚀 prêt",
    "İstanbul error, DIYARBAKIR and ıssız",
    "Straße, STRAẞE und ſchon; ﬁle",
    "ΟΔΟΣ and οδος",
    "e\u0301tat and état",
    "er\x1b]8;;http://a/\x1b\\ror in a link",
    "a\0b\tc",
    `${"x".repeat(100_000)} error`,
    "plain line",
    "error",
    "",
  ),
  fc.string({ maxLength: 12 }),
);
const line: fc.Arbitrary<Line> = fc.record({
  text,
  level: fc.constantFrom(null, "info", "error"),
  agent: fc.constantFrom(null, "Coder"),
});
const filter: fc.Arbitrary<LineFilter> = fc
  .record({
    q: fc.constantFrom("", "error", "ERROR in", "🚀", "downloading 57", "e", "strasse", "SS", "οδοσ", "ı", "i̇", "é", "FILE", "␀b\t", "r+or", "^plain"),
    level: fc.constantFrom("", "error"),
    agent: fc.constantFrom("", "Coder"),
  })
  .map((given) => ({ ...given, regex: given.q === "r+or" || given.q === "^plain" }))
  .filter(({ q, level, agent }) => q !== "" || level !== "" || agent !== "");
type Step = { kind: "live" | "lost"; lines: Line[] } | { kind: "wait"; ms: number } | { kind: "fail" };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom("live" as const, "lost" as const), lines: fc.array(line, { minLength: 1, maxLength: 5 }) }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 12 }) }),
  fc.constant({ kind: "fail" as const }),
);

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("FilteredLog", () => {
  it("holds what grep finds, whatever is late, cut short, lost or failing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 40 }),
        filter,
        fc.constantFrom(3, 17, Infinity),
        fc.array(step, { maxLength: 12 }),
        async (lines, wanted, reach, steps) => {
          const server = new LogServer();
          server.add(...lines);
          server.reach = reach;
          const log = new FilteredLog(server.client, "r", wanted);
          log.open(lines.length);
          for (const next of steps) {
            if (next.kind === "live") log.take(server.add(...next.lines));
            else if (next.kind === "lost") server.add(...next.lines);
            else if (next.kind === "wait") await vi.advanceTimersByTimeAsync(next.ms);
            else server.failures.push(true);
          }
          log.take(server.add({ text: "the last line", level: null, agent: null }));
          await settled(log);
          expect(shown(log)).toEqual(server.matching(wanted));
          log.close();
        },
      ),
      { numRuns: 150, seed: 20260131 },
    );
  });

  it("reads on where the server cut a page before it found anything", async () => {
    const server = new LogServer();
    server.add({ text: "needle", level: null, agent: null });
    server.add(...Array.from({ length: 50 }, () => ({ text: "hay", level: null, agent: null })));
    server.reach = 10;
    const log = new FilteredLog(server.client, "r", { q: "needle", regex: false, level: "", agent: "" });
    log.open(51);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown(log)).toEqual([1]);
    expect(log.hasAll).toBe(true);
  });

  it("keeps lines that come while its first page loads", async () => {
    const server = new LogServer();
    server.add({ text: "error 1", level: "error", agent: null });
    const log = new FilteredLog(server.client, "r", { q: "", regex: false, level: "error", agent: "" });
    log.open(1);
    log.take(server.add({ text: "error 2", level: "error", agent: null }));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown(log)).toEqual([1, 2]);
  });

  it("matches live lines by what a reader sees, without asking the server", async () => {
    const server = new LogServer();
    const log = new FilteredLog(server.client, "r", { q: "error", regex: false, level: "", agent: "" });
    log.open(0);
    await vi.advanceTimersByTimeAsync(100);
    log.take(server.add({ text: "er\x1b[1mror", level: null, agent: null }));
    expect(shown(log)).toEqual([1]);
    expect(server.requests).toBe(1);
  });

  it.each([
    ["strasse", "Straße"],
    ["STRAẞE", "strasse"],
    ["save", "ſave"],
    ["οδοσ", "ΟΔΟΣ"],
    ["i̇stanbul", "İSTANBUL"],
    ["a␀b", "a\0b"],
  ])("finds %j in a live %j, as the server does", async (q, text) => {
    const server = new LogServer();
    const log = new FilteredLog(server.client, "r", { q, regex: false, level: "", agent: "" });
    log.open(0);
    await vi.advanceTimersByTimeAsync(100);
    log.take(server.add({ text, level: null, agent: null }, { text: "sıx", level: null, agent: null }));
    expect(shown(log)).toEqual([1]);
    expect(server.requests).toBe(1);
  });

  it("finds the first of 30,000 matches", async () => {
    const server = new LogServer();
    for (let n = 0; n < 30_000; n += 1) server.lines.push({ text: `${n}`, level: "error", agent: null });
    const log = new FilteredLog(server.client, "r", { q: "", regex: false, level: "error", agent: "" });
    log.open(30_000);
    for (let turn = 0; turn < 100 && !log.hasAll; turn += 1) {
      log.show(0);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect([log.length, log.numberAt(0), log.numberAt(29_999)]).toEqual([30_000, 1, 30_000]);
  });

  it("lets the oldest lines go beyond its budget, and reads them again", async () => {
    const server = new LogServer();
    const long = { text: "x".repeat(100_000), level: "error", agent: null };
    const log = new FilteredLog(server.client, "r", { q: "", regex: false, level: "error", agent: "" });
    log.open(0);
    await vi.advanceTimersByTimeAsync(100);
    for (let batch = 0; batch < 12; batch += 1) log.take(server.add(...Array.from({ length: 100 }, () => long)));
    expect(log.length).toBeLessThan(1_100);
    expect(log.hasAll).toBe(false);
    log.show(0);
    await vi.advanceTimersByTimeAsync(100);
    expect([log.numberAt(0), log.hasAll]).toEqual([1, true]);
  });

  it("has no hole where lines are dropped while older ones are on their way, and says when it is full", async () => {
    const server = new LogServer();
    const of = (text: string, times: number) => Array.from({ length: times }, () => ({ text, level: "error", agent: null }));
    server.add(...of("short", 600));
    const log = new FilteredLog(server.client, "r", { q: "", regex: false, level: "error", agent: "" });
    log.open(600);
    await vi.advanceTimersByTimeAsync(10);
    log.show(0);
    const dropped: number[] = [];
    log.onChange(({ prepended = 0 }) => {
      if (prepended < 0) dropped.push(prepended);
      log.show(0);
    });
    log.take(server.add(...of("x".repeat(100_000), 1_100)));
    expect(dropped).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(100);
    const first = log.numberAt(0);
    expect(shown(log)).toEqual(Array.from({ length: 1_700 - first + 1 }, (_, n) => first + n));
    // A page was read in the place of the one that came too late, and there is no room for another.
    expect(server.requests).toBe(3);
    expect([log.hasAll, log.isFull]).toEqual([false, true]);
  });

  it("gives its requests up when it is closed", async () => {
    const server = new LogServer();
    const log = new FilteredLog(server.client, "r", { q: "x", regex: false, level: "", agent: "" });
    log.open(0);
    log.close();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(server.requests).toBe(1);
    expect(log.isLoaded).toBe(false);
  });
});

describe("searchLog", () => {
  it("finds what grep finds, level and agent included, over answers that are cut short", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 60 }),
        filter,
        fc.constantFrom(7, Infinity),
        async (lines, wanted, reach) => {
          const server = new LogServer();
          server.add(...lines);
          server.reach = reach;
          let last: SearchState = NO_SEARCH;
          const done = searchLog(server.client, "r", wanted, new AbortController().signal, (state) => {
            last = state;
          });
          await vi.advanceTimersByTimeAsync(1_000);
          await done;
          expect(last.lines).toEqual(server.matching(wanted));
          expect(last.isDone && last.error === null).toBe(true);
        },
      ),
      { numRuns: 100, seed: 20260131 },
    );
  });
});
