/** A line of a log as an element. Plain DOM: a framework can't make a thousand of these a second. */
import type { LogLine } from "@runcast/client";
import { HIGHLIGHTED_CHARACTERS } from "./highlight";
import { type Span, afterCarriageReturns, parseAnsi } from "./ansi";
import { withoutEscapes } from "@runcast/client";
import { duration } from "../design/format";
import { visible } from "../shown/visible";
import { groupName } from "./folds";
import { jsonText } from "./jsonLines";
import type { FoldMark } from "./lines";

export type TimeDisplay = "local" | "utc" | "elapsed" | "hidden";
export type Format = "text" | "raw" | "json";

export interface RowOptions {
  time: TimeDisplay;
  format: Format;
  /** Whether long lines are wrapped; else every row has one line's height. */
  wrap: boolean;
  /** Whether rows name their agent: of use only where there are several. */
  showsAgent: boolean;
  /** Milliseconds since the epoch from which elapsed time counts. */
  startedAt: number;
  /** What is searched for, or null. */
  highlight: RegExp | null;
  /** Whether each row offers to show it among its neighbours. */
  offersContext: boolean;
  /** Width of the number column, in characters. */
  digits: number;
  /** Where the whole of a cut line is, or null where that can't be opened by a link. */
  rawHref: (lineNumber: number) => string | null;
  /** A merged stream's rows name their run. */
  tagOf: ((line: LogLine) => { text: string; hue: number } | null) | null;
}

/** Of a longer line only so much is laid out, until more is asked for. */
export const SHOWN_CHARACTERS = 8_000;

const TIME_PREFIX = /^\[?\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\]?|^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\S*/;

export function rowOf(line: LogLine, options: RowOptions, whole = false, fold: FoldMark | null = null): HTMLElement {
  const row = element("div", `log-row${levelClass(line.level)}${kindClass(line, fold)}`);
  row.dataset.line = String(line.lineNumber);
  if (line.source === "stderr") row.title = "stderr";
  row.append(numberOf(line.lineNumber, options));
  const tag = options.tagOf?.(line);
  if (tag) row.append(tagOf(tag));
  if (options.format === "text") row.append(...columnsOf(line, options));
  if (fold) row.append(foldButton(fold));
  row.append(textOf(line, options, whole));
  if (options.format === "text" && isToolCall(line, fold)) row.append(resultOf(fold));
  if (options.offersContext) row.append(contextButton());
  return row;
}

/** What stands between a line's number and its text. */
function columnsOf(line: LogLine, options: RowOptions): HTMLElement[] {
  const time = options.time === "hidden" ? [] : [timeOf(line, options)];
  return options.showsAgent && line.agentName ? [...time, agentOf(line.agentName)] : time;
}

const isToolCall = (line: LogLine, fold: FoldMark | null): boolean =>
  line.eventType === "tool" || (fold?.result ?? null) !== null;

export function placeholderOf(lineNumber: number, options: RowOptions): HTMLElement {
  const row = element("div", "log-row log-waiting");
  row.append(numberOf(lineNumber, options), element("span", "log-text"));
  return row;
}

function numberOf(lineNumber: number, options: RowOptions): HTMLElement {
  const number = element("a", "log-number");
  number.setAttribute("href", `#L${lineNumber}`);
  number.setAttribute("aria-label", `Line ${lineNumber}`);
  number.tabIndex = -1;
  number.style.setProperty("--digits", String(options.digits));
  number.dataset.n = String(lineNumber);
  return number;
}

function tagOf({ text, hue }: { text: string; hue: number }): HTMLElement {
  const tag = element("span", `log-tag log-hue-${hue}`);
  tag.textContent = text;
  return tag;
}

function agentOf(name: string): HTMLElement {
  const agent = element("span", "log-agent");
  agent.textContent = visible(name);
  return agent;
}

function timeOf(line: LogLine, options: RowOptions): HTMLElement {
  const time = element("time", "log-time");
  time.textContent = timeText(line.timestamp, options);
  return time;
}

/** Always of the same width within one display, so that lines stay in column. */
export function timeText(timestamp: string | null, options: RowOptions): string {
  const at = timestamp ? new Date(timestamp) : null;
  if (!at || Number.isNaN(at.getTime())) return "--:--:--.---";
  if (options.time === "utc") return at.toISOString().slice(11, 23);
  if (options.time === "elapsed") return elapsedText(at.getTime() - options.startedAt);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function elapsedText(milliseconds: number): string {
  const sign = milliseconds < 0 ? "-" : "+";
  const ms = Math.abs(milliseconds);
  const seconds = `${two(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
  return `${sign}${two(Math.floor(ms / 3_600_000))}:${two(Math.floor(ms / 60_000) % 60)}:${seconds}`;
}

function textOf(line: LogLine, options: RowOptions, whole: boolean): HTMLElement {
  const text = element("span", "log-text");
  text.dir = "auto";
  const content = contentOf(line, options.format);
  const oneLine = options.wrap || options.format === "json" ? content : content.replaceAll("\n", " ↵ ");
  const shown = whole ? oneLine : oneLine.slice(0, SHOWN_CHARACTERS);
  const spans = options.format === "text" ? parseAnsi(shown) : plain(shown);
  text.append(...nodesOf(options.format === "text" ? withTimePrefix(spans) : spans, options.highlight));
  if (shown.length < content.length) text.append(moreButton(content.length - shown.length));
  else if (line.cutBytes > 0) text.append(cutLink(line, options.rawHref(line.lineNumber)));
  return text;
}

/** What stands in the line in this format; what is searched and copied. */
export function contentOf(line: LogLine, format: Format): string {
  if (format === "json") return JSON.stringify(asJson(line));
  if (format === "raw") return visibleEscapes(line.content);
  return (
    planText(line) ?? groupName(line.content) ?? jsonText(line.content) ?? afterCarriageReturns(line.content)
  );
}

const SIGNS: Record<string, string> = { completed: "☑", done: "☑", in_progress: "▸" };

/** An agent's plan as a checklist in a line, or null for any other line. */
function planText({ eventType, payload }: LogLine): string | null {
  if (eventType !== "plan") return null;
  const items = (payload as { items?: { text?: unknown; status?: unknown }[] } | null)?.items;
  if (!Array.isArray(items) || items.length === 0) return null;
  return items.map(({ text, status }) => `${SIGNS[String(status)] ?? "☐"} ${String(text)}`).join("   ");
}

export function copyTextOf(line: LogLine, format: Format): string {
  if (format === "json") return contentOf(line, format);
  const rest = line.cutBytes > 0 ? ` … [+${line.cutBytes} bytes]` : "";
  return withoutEscapes(line.content) + rest;
}

function asJson(line: LogLine): object {
  const { lineNumber, timestamp, level, agentName, eventType, source, content, payload } = line;
  const all = { line: lineNumber, ts: timestamp, level, agent: agentName, event: eventType };
  const fields = { ...all, source, message: content, payload };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value != null));
}

 
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

function visibleEscapes(text: string): string {
  return text.replace(CONTROL, (c) => String.fromCharCode(c === "\x7f" ? 0x2421 : 0x2400 + c.charCodeAt(0)));
}

const plain = (text: string): Span[] => [{ text, className: "", colour: null, background: null }];

/** A time at the start of a line is set apart from what the line says. */
function withTimePrefix(spans: Span[]): Span[] {
  const [first, ...rest] = spans;
  const prefix = first && TIME_PREFIX.exec(first.text)?.[0];
  if (!first || !prefix) return spans;
  const time = { ...first, text: prefix, className: `${first.className} log-stamp` };
  return [time, { ...first, text: first.text.slice(prefix.length) }, ...rest];
}

function nodesOf(spans: Span[], highlight: RegExp | null): Node[] {
  const marks = highlight ? matchesIn(spans.map(({ text }) => text).join("").slice(0, HIGHLIGHTED_CHARACTERS), highlight) : [];
  const nodes: Node[] = [];
  let at = 0;
  for (const span of spans) {
    nodes.push(nodeOf(span, at, marks));
    at += span.text.length;
  }
  return nodes;
}

function nodeOf(span: Span, offset: number, marks: [number, number][]): Node {
  const parts = marked(span.text, offset, marks);
  const first = parts[0];
  const isPlain = span.className === "" && span.colour === null && span.background === null;
  if (isPlain && parts.length === 1 && first) return first;
  const node = element("span", span.className);
  if (span.colour) node.style.color = span.colour;
  if (span.background) node.style.backgroundColor = span.background;
  node.append(...parts);
  return node;
}

function matchesIn(text: string, highlight: RegExp): [number, number][] {
  const found: [number, number][] = [];
  for (const match of text.matchAll(highlight)) {
    if (match[0].length > 0) found.push([match.index, match.index + match[0].length]);
  }
  return found;
}

function marked(text: string, offset: number, marks: [number, number][]): Node[] {
  const parts: Node[] = [];
  let from = 0;
  for (const [start, end] of marks) {
    const a = Math.max(start - offset, from);
    const b = Math.min(end - offset, text.length);
    if (b <= a) continue;
    if (a > from) parts.push(document.createTextNode(text.slice(from, a)));
    const mark = element("mark", "");
    mark.textContent = text.slice(a, b);
    parts.push(mark);
    from = b;
  }
  if (from < text.length || parts.length === 0) parts.push(document.createTextNode(text.slice(from)));
  return parts;
}

function moreButton(characters: number): HTMLElement {
  const button = element("button", "log-more");
  button.textContent = `… ${characters.toLocaleString("en-US")} more characters`;
  button.dataset.more = "";
  return button;
}

/** The rest of a line that was too long to be stored stands in its file, perhaps. */
function cutLink({ cutBytes }: LogLine, href: string | null): HTMLElement {
  const link = element("a", "log-more");
  link.textContent = ` … [+${cutBytes} bytes]`;
  if (href) link.setAttribute("href", href);
  link.setAttribute("target", "_blank");
  return link;
}

function foldButton({ lines, isOpen }: FoldMark): HTMLElement {
  const button = element("button", "log-fold");
  button.textContent = `${isOpen ? "▾" : "▸"} ${lines}`;
  button.setAttribute("aria-expanded", String(isOpen));
  button.setAttribute("aria-label", `${isOpen ? "Fold" : "Show"} ${lines} ${lines === 1 ? "line" : "lines"}`);
  button.dataset.fold = "";
  return button;
}

/** How a tool call ended and how long it took; dots while its result isn't there. */
function resultOf(fold: FoldMark | null): HTMLElement {
  const result = fold?.result ?? null;
  const mark = element("span", `log-result${result?.ok === false ? " log-result-bad" : ""}`);
  const time = result?.ms == null ? "" : ` ${result.ms < 1_000 ? `${result.ms} ms` : duration(result.ms)}`;
  mark.textContent = result ? `${result.ok ? "✓" : "✗"}${time}` : "…";
  mark.title = result ? (result.ok ? "It succeeded" : "It failed") : "No result yet";
  return mark;
}

function contextButton(): HTMLElement {
  const button = element("button", "log-context");
  button.textContent = "Show in context";
  button.dataset.context = "";
  return button;
}

const EVENTS: ReadonlySet<string> = new Set(["prompt", "say", "think", "tool", "tool_result", "plan", "notice"]);

const LEVELS: Record<string, string> = {
  trace: " log-debug",
  debug: " log-debug",
  warn: " log-warn",
  warning: " log-warn",
  error: " log-error",
  critical: " log-error",
  fatal: " log-error",
};

/** stderr, and the kinds of lines that agents write, are told apart. */
function kindClass({ source, eventType }: LogLine, fold: FoldMark | null): string {
  const ofStream = source === "stderr" ? " log-stderr" : "";
  const ofEvent = eventType && EVENTS.has(eventType) ? ` log-${eventType.replace("_", "-")}` : "";
  return `${ofStream}${ofEvent}${fold && !fold.result ? " log-head" : ""}`;
}

const levelClass = (level: string | null): string => (level && LEVELS[level.toLowerCase()]) ?? "";

function element<K extends keyof HTMLElementTagNameMap>(tag: K, className: string): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  return made;
}

const two = (n: number): string => String(n).padStart(2, "0");
