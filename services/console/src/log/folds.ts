/**
 * What of a log is folded: stack traces, groups that the program marked, and the results of tool calls.
 *
 * A fold has a head, which stays, and lines that are hidden while it is closed. They are found among the
 * lines that are loaded, around what is looked at, so a log of any length costs the same.
 */
import { type LogLine, withoutEscapes } from "@runcast/client";

export interface Fold {
  /** The line that stays and opens the fold. */
  head: number;
  /** The lines that are hidden, both included. */
  from: number;
  to: number;
  /** Of a tool call: how it ended. */
  result: { ok: boolean; ms: number | null } | null;
}

type LineAt = (lineNumber: number) => LogLine | undefined;

/** A shorter trace is shown whole. */
const LEAST_FRAMES = 3;
/** A group that has no end within this many lines is not folded. */
const MAX_GROUP = 2_000;
const GROUP = /^\s*(?:::group::|##\[group\])/;
const GROUP_END = /^\s*(?:::endgroup::|##\[endgroup\])/;
const TRACEBACK = /^\s*Traceback \(most recent call last\):/;
const FRAME = /^\s+(?:at\s+\S|\.{3}\s+\d+\s+more)/;

const textAt = (lineAt: LineAt, at: number): string | null => {
  const line = lineAt(at);
  return line ? withoutEscapes(line.content.slice(0, 500)) : null;
};

/** The name of the group that a line begins, or null. */
export function groupName(content: string): string | null {
  const text = withoutEscapes(content);
  return GROUP.test(text) ? text.replace(GROUP, "").trim() || "Group" : null;
}

/** All folds whose head is among these lines. */
export function foldsIn(lineAt: LineAt, from: number, to: number): Fold[] {
  const folds: Fold[] = [];
  const calls = new Map<string, number>();
  for (let at = from; at <= to; at += 1) {
    const line = lineAt(at);
    if (!line) continue;
    const text = withoutEscapes(line.content.slice(0, 500));
    const fold =
      toolResult(line, at, calls) ??
      (GROUP.test(text) ? group(lineAt, at) : TRACEBACK.test(text) ? traceback(lineAt, at, to) : null) ??
      frames(lineAt, at, text, to);
    if (fold) folds.push(fold);
  }
  return folds;
}

function toolResult(line: LogLine, at: number, calls: Map<string, number>): Fold | null {
  const payload = line.payload as Partial<Record<"call_id" | "ok" | "ms", unknown>> | null;
  if (typeof payload?.call_id !== "string") return null;
  if (line.eventType === "tool") calls.set(payload.call_id, at);
  if (line.eventType !== "tool_result") return null;
  const head = calls.get(payload.call_id);
  if (head === undefined) return null;
  const ms = typeof payload.ms === "number" ? payload.ms : null;
  return { head, from: at, to: at, result: { ok: payload.ok !== false, ms } };
}

function group(lineAt: LineAt, head: number): Fold | null {
  let depth = 0;
  for (let at = head + 1; at <= head + MAX_GROUP; at += 1) {
    const text = textAt(lineAt, at);
    if (text === null) return null;
    if (GROUP.test(text)) depth += 1;
    else if (GROUP_END.test(text)) {
      if (depth === 0) return { head, from: head + 1, to: at, result: null };
      depth -= 1;
    }
  }
  return null;
}

/** The indented lines below the head of a Python trace; the error below them stays. */
function traceback(lineAt: LineAt, head: number, to: number): Fold | null {
  const indent = /^\s*/.exec(textAt(lineAt, head) ?? "")?.[0].length ?? 0;
  return run(head, to, (at) => {
    const text = textAt(lineAt, at);
    return text !== null && (/^\s*/.exec(text)?.[0].length ?? 0) > indent && text.trim() !== "";
  });
}

/** "    at f (file.js:1)" of JavaScript and Java, below the line that they belong to. */
function frames(lineAt: LineAt, at: number, text: string, to: number): Fold | null {
  if (FRAME.test(text) || !FRAME.test(textAt(lineAt, at + 1) ?? "")) return null;
  return run(at, to, (next) => FRAME.test(textAt(lineAt, next) ?? ""));
}

function run(head: number, last: number, belongs: (at: number) => boolean): Fold | null {
  let to = head;
  while (to < last && belongs(to + 1)) to += 1;
  return to - head >= LEAST_FRAMES ? { head, from: head + 1, to, result: null } : null;
}

/** The lines that closed folds hide, as ranges that neither overlap nor nest, in order. */
export function hiddenRanges(folds: Iterable<Fold>, isOpen: (fold: Fold) => boolean): [number, number][] {
  const closed = [...folds].filter((fold) => !isOpen(fold)).sort((a, b) => a.from - b.from || b.to - a.to);
  const ranges: [number, number][] = [];
  for (const { from, to } of closed) {
    const last = ranges.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else ranges.push([from, to]);
  }
  return ranges;
}
