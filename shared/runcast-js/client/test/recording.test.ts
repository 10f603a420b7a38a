/** What a program reports: made acceptable whatever it is, and kept in order until the server has it. */
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";

import { keyFault, RunRecorder, sourceFault } from "../src/index.js";
import * as acceptable from "../src/recording/acceptable.js";
import { uuid7 } from "../src/recording/ids.js";
import { Spool } from "../src/recording/spool.js";
import { settle, TestServer } from "./server.js";

const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  withObjectString: true,
  withSparseArray: true,
});
const bytes = (text: string): number => new TextEncoder().encode(text).length;

describe("acceptable", () => {
  it("makes JSON of anything, which stays as it is the second time", () => {
    fc.assert(
      fc.property(anything, fc.integer({ min: 200, max: 2_000 }), (value, limit) => {
        const made = acceptable.json(value, limit);
        const written = JSON.stringify(made);
        expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(acceptable.json(made, Infinity))));
        expect(written).not.toMatch(/\p{Surrogate}/u);
      }),
    );
  });

  it("cuts texts to their bytes and says how many are missing", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), fc.integer({ min: 100, max: 300 }), (value, limit) => {
        const made = acceptable.text(value, limit);
        expect(bytes(made)).toBeLessThanOrEqual(limit);
        const missing = /… \[\+(\d+) bytes\]$/.exec(made);
        if (missing && made !== value) {
          expect(bytes(made.slice(0, missing.index)) + Number(missing[1])).toBe(bytes(acceptable.printable(value)));
        } else expect(made).toBe(acceptable.printable(value));
      }),
    );
  });

  it("keeps names apart, and makes keys and sources of any text", () => {
    const long = "a".repeat(500);
    expect(acceptable.name(`${long}1`)).not.toBe(acceptable.name(`${long}2`));
    expect(acceptable.key("a/b")).not.toBe(acceptable.key("a b"));
    fc.assert(
      fc.property(anything, (value) => {
        expect(keyFault(acceptable.key(value))).toBeNull();
        expect(sourceFault(acceptable.source(value))).toBeNull();
        expect(acceptable.eventName(value)).toMatch(/^x:[A-Za-z0-9_.:-]{1,120}$/);
        expect([...(acceptable.name(value) ?? "")].length).toBeLessThanOrEqual(200);
        expect(Object.keys(acceptable.labels(value)).every((key) => /^[A-Za-z0-9._/-]{1,128}$/.test(key))).toBe(true);
      }),
    );
  });

  it("keeps a member called __proto__ a member", () => {
    const made = acceptable.json(JSON.parse('{"__proto__": {"polluted": 1}}'));
    expect(JSON.stringify(made)).toBe('{"__proto__":{"polluted":1}}');
  });
});

describe("ids", () => {
  it("are of version 7 and ordered by time", () => {
    expect(uuid7(1)).toMatch(/^00000000-0001-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(uuid7(1_700_000_000_000) < uuid7(1_700_000_000_001)).toBe(true);
  });
});

describe("spool", () => {
  it("hands on every message once and in order, wherever answers put it back", () => {
    const step = fc.oneof(fc.constant("add"), fc.constant("send"), fc.constant("lost"));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (steps, limit) => {
        const spool = new Spool(1e9);
        const stored: string[] = [];
        let [said, next, offset] = [0, 1, 0];
        const send = (isAnswered: boolean): void => {
          const portion = spool.read(limit);
          expect(portion.firstOffset).toBe(portion.firstLine === next ? offset : portion.firstOffset);
          for (const [place, line] of portion.lines.entries()) {
            if (portion.firstLine + place < next) continue;
            stored.push(line);
            next += 1;
          }
          offset = Math.max(offset, portion.nextOffset);
          if (isAnswered) spool.seek(1, next);
        };
        for (const each of steps) {
          if (each === "add") spool.add({ n: said++ });
          else send(each === "send");
        }
        while (!spool.isEmpty) send(true);
        expect(stored).toEqual(Array.from({ length: said }, (_, n) => JSON.stringify({ n })));
        expect(spool.bytes).toBe(0);
      }),
    );
  });

  it("begins a new generation for a server that lost lines", () => {
    const spool = new Spool(1e9);
    for (let n = 0; n < 4; n += 1) spool.add({ n });
    spool.seek(1, 3);
    spool.seek(1, 2);
    expect(spool.read()).toMatchObject({ generation: 2, firstLine: 1, firstOffset: 0, lines: ['{"n":2}', '{"n":3}'] });
  });

  it("drops and counts what finds no room, but nothing vital", () => {
    const spool = new Spool(10);
    spool.add({ n: 1 });
    spool.add({ n: 2 });
    spool.add({ end: true }, true);
    expect(spool.dropped).toBe(1);
    expect(spool.read().lines).toEqual(['{"n":1}', '{"end":true}']);
  });
});

describe("recorder", () => {
  afterEach(() => vi.useRealTimers());

  it("finds each message that is refused, and sends the others", { timeout: 30_000 }, async () => {
    const server = new TestServer();
    const warnings: string[] = [];
    const run = new RunRecorder(server.http, "p", { onWarning: (text) => warnings.push(text) });
    // No word that an id may hold, whose digits are hexadecimal.
    for (const message of ["one", "refuse", "refuse", "three"]) run.log(message);
    const ended = run.complete();
    const arrived: string[] = [];
    let next = 1;
    for (let answered = 0; answered < 40; answered += 1) {
      await vi.waitUntil(() => server.exchanges.length > answered, 20_000);
      const exchange = server.exchanges[answered]!;
      if (exchange.path === "/projects/p/runs") exchange.json({ id: run.id }, 201);
      else {
        const { lines, first_line, closed } = exchange.body as { lines: string[]; first_line: number; closed?: object };
        if (lines.some((line) => line.includes("refuse"))) exchange.json({ title: "no" }, 422);
        else {
          arrived.push(...lines.slice(next - first_line));
          next = first_line + lines.length;
          exchange.json({ generation: 1, next_line: next });
        }
        if (closed) break;
      }
    }
    expect(await ended).toBe(true);
    expect(arrived.map((line) => (line ? (JSON.parse(line) as { type: string }).type : line))).toEqual([
      "agent:started",
      "agent:log",
      "",
      "",
      "agent:log",
      "agent:completed",
    ]);
    expect(warnings).toHaveLength(2);
  });

  it("gives up a run whose end is refused, and does not ask for ever", async () => {
    const server = new TestServer();
    const run = new RunRecorder(server.http, "p", { onWarning: () => undefined });
    await vi.waitUntil(() => server.exchanges.length === 1);
    server.exchanges[0]!.json({ id: run.id }, 201);
    await vi.waitUntil(() => server.exchanges.length === 2);
    server.exchanges[1]!.json({ title: "no such thing" }, 422);
    await vi.waitUntil(() => run.failure !== null);
    expect(run.failure).toBe("no such thing");
  });

  it("sends what a page said last in a request that outlives it", async () => {
    vi.stubGlobal("process", undefined);
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.resetModules();
    const { RunRecorder: OfPage } = await import("../src/recording/recorder.js");
    const server = new TestServer();
    const run = new OfPage(server.http, "p", { parentRunId: null });
    const answer = async (place: number, body: object): Promise<void> => {
      await vi.waitUntil(() => server.exchanges.length > place);
      server.exchanges[place]!.json(body);
    };
    await answer(0, { id: run.id });
    await answer(1, { generation: 1, next_line: 1 });
    await answer(2, { generation: 1, next_line: 2 });
    await settle();
    run.log("x".repeat(40_000));
    run.log("y".repeat(40_000));
    page.dispatchEvent(new Event("pagehide"));
    vi.unstubAllGlobals();
    const last = server.exchanges.find((exchange) => exchange.init.keepalive)!;
    const { lines, first_line } = last.body as { lines: string[]; first_line: number };
    expect([first_line, lines.length]).toEqual([2, 1]);
    expect(String(last.init.body).length).toBeLessThan(64 * 1024);
    expect(last.headers.Authorization).toBe("Bearer rc_test");
  });

  it("asks once for a project that is hidden from it", async () => {
    const server = new TestServer();
    const run = new RunRecorder(server.http, "p", {
      onWarning: () => {
        throw new Error("a host's own");
      },
    });
    await vi.waitUntil(() => server.exchanges.length === 1);
    server.exchanges[0]!.json({ title: "not found" }, 404);
    await vi.waitUntil(() => server.exchanges.length === 2);
    server.exchanges[1]!.json({ title: "taken" }, 409);
    await vi.waitUntil(() => server.exchanges.length === 3);
    server.exchanges[2]!.json({ title: "not found" }, 404);
    await vi.waitUntil(() => run.failure !== null);
    expect(run.failure).toBe("not found");
    expect(server.exchanges).toHaveLength(3);
  });

  it("waits no longer for a server that is away because the program goes on talking", async () => {
    vi.useFakeTimers();
    const server = new TestServer();
    const run = new RunRecorder(server.http, "p");
    const talking = setInterval(() => run.log("more"), 1_000);
    const flushed = run.flush(30_000);
    await vi.advanceTimersByTimeAsync(31_000);
    clearInterval(talking);
    expect(await flushed).toBe(false);
  });

  it("reports to a project of any name", () => {
    expect(acceptable.project("My Project")).toBe("my-project");
    expect(acceptable.project("\0")).toBe("default");
    expect(acceptable.project("{01a21801-a073-72d7-8ea9-1aef178f7eb9}")).toMatch(/^p-/);
  });

  it("gives up a run that the server will never take, and waits for one that is away", async () => {
    vi.useFakeTimers();
    const server = new TestServer();
    const run = new RunRecorder(server.http, "p");
    await vi.advanceTimersByTimeAsync(0);
    server.exchanges[0]!.fail("away");
    await settle();
    expect(run.failure).toBeNull();
    await vi.advanceTimersByTimeAsync(1_000);
    server.exchanges[1]!.json({ title: "gone" }, 410);
    await vi.advanceTimersByTimeAsync(0);
    expect(run.failure).toBe("gone");
    run.log("nothing waits for it");
    expect(run.unsentBytes).toBe(0);
    expect(await run.complete()).toBe(false);
  });
});
