import type { LogLine, RunLog } from "@runcast/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FoldedLog } from "./FoldedLog";
import { foldsIn, groupName } from "./folds";
import type { LinesChange } from "./lines";

type Made = string | { content: string; eventType: string; payload: object };
const logOf = (lines: Made[]) => {
  const listeners = new Set<() => void>();
  const entry = (n: number): LogLine | undefined => {
    const made = lines[n - 1];
    if (made === undefined) return undefined;
    const line = typeof made === "string" ? { content: made } : made;
    return { lineNumber: n, eventType: null, payload: null, ...line } as LogLine;
  };
  return {
    line: entry,
    lines,
    get lastLine() {
      return lines.length;
    },
    show: () => undefined,
    onChange: (listener: () => void) => (listeners.add(listener), () => listeners.delete(listener)),
    tell: () => listeners.forEach((listener) => listener()),
  };
};
const shown = (folded: FoldedLog) => Array.from({ length: folded.length }, (_, i) => folded.at(i)?.content);
const TRACE = ["Traceback (most recent call last):", '  File "a.py", line 1', "    main()", '  File "b.py"', "ValueError: no"];

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it("folds traces, groups and frames, and nothing that only looks alike", () => {
  const lines = [
    ...TRACE,
    "::group::Install",
    "+ a",
    "::endgroup::",
    "\u001b[31mError: x\u001b[0m",
    "    at f (a.js:1)",
    "    at g (a.js:2)",
    "    at h (a.js:3)",
    "meet me",
    "  at noon",
  ];
  const log = logOf(lines);
  const folds = foldsIn(log.line, 1, lines.length).map(({ head, from, to }) => [head, from, to]);
  expect(folds).toEqual([
    [1, 2, 4],
    [6, 7, 8],
    [9, 10, 12],
  ]);
  expect(groupName("::group::Install")).toBe("Install");
});

function folded(lines: Made[]) {
  const log = logOf(lines);
  const view = new FoldedLog(log as unknown as RunLog);
  const changes: LinesChange[] = [];
  view.onChange((change) => changes.push(change));
  view.show(0, lines.length - 1);
  vi.advanceTimersByTime(100);
  return { log, view, changes };
}

it("hides what is folded, opens at a click, and by itself where a line is gone to", () => {
  const { view } = folded(["a", ...TRACE, "z"]);
  expect(shown(view)).toEqual(["a", TRACE[0], TRACE[4], "z"]);
  expect([1, 2, 3, 4, 5, 6, 7].map((n) => view.indexOf(n))).toEqual([0, 1, 1, 1, 1, 2, 3]);
  expect([0, 1, 2, 3].map((i) => view.numberAt(i))).toEqual([1, 2, 6, 7]);
  expect(view.foldAt(2)).toEqual({ lines: 3, isOpen: false, result: null });
  view.reveal(4);
  expect(shown(view)).toHaveLength(7);
  view.toggle(2);
  expect(shown(view)).toHaveLength(4);
});

it("makes one row of a tool call and its result, even with others in between", () => {
  const call = (eventType: string, id: string, more: object = {}) => ({
    content: `${eventType} ${id}`,
    eventType,
    payload: { call_id: id, ...more },
  });
  const { view } = folded([
    call("tool", "a"),
    call("tool", "b"),
    call("tool_result", "b", { ok: false, ms: 12 }),
    call("tool_result", "a", { ok: true }),
    "then",
  ]);
  expect(shown(view)).toEqual(["tool a", "tool b", "then"]);
  expect(view.foldAt(1)?.result).toEqual({ ok: true, ms: null });
  expect(view.foldAt(2)?.result).toEqual({ ok: false, ms: 12 });
});

it("folds a trace on while it is written, and tells rows that went from lines that came", () => {
  const lines = ["a", ...TRACE.slice(0, 4)];
  const { log, view, changes } = folded(lines);
  expect(view.length).toBe(2);
  expect(changes.at(-1)).toEqual({ prepended: 0, folded: -3, reset: true });
  lines.push("    more()", "ValueError: no");
  log.tell();
  view.show(0, view.length - 1);
  vi.advanceTimersByTime(100);
  expect(shown(view)).toEqual(["a", TRACE[0], "ValueError: no"]);
});

it("keeps every index and number each other's inverse, whatever is folded", () => {
  const lines = Array.from({ length: 200 }, (_, i) => (i % 7 === 0 ? "Error: x" : "    at f (a.js:1)"));
  const { view } = folded(lines);
  for (const n of [8, 50, 99]) view.reveal(n + 1);
  for (let index = 0; index < view.length; index += 1) expect(view.indexOf(view.numberAt(index))).toBe(index);
});
