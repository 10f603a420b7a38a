/**
 * Makes anything acceptable: the one place on the sending side that knows what a server takes, with the rules of
 * `runcast._support.acceptable` in Python. What a server would refuse costs a line, or a run's end, so texts are
 * cut and say how much is missing, numbers are clamped, values that JSON doesn't know become their text, and names
 * that have to be shortened stay apart. No function here throws, whatever it is given.
 */
import { keyFault, sourceFault } from "../names.js";

export const TEXT_BYTES = 64 * 1024;
export const JSON_BYTES = 256 * 1024;
export const PAYLOAD_BYTES = 128 * 1024;
export const EVENT_BYTES = 63 * 1024;
const NAME_CHARACTERS = 200;
const LARGEST_NUMBER = 2 ** 31 - 1;
const DEPTH = 48;
const NODES = 100_000;
const SHOWN_BYTES = 1_000;
const MARK_BYTES = 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export type Json = null | boolean | number | string | Json[] | { [member: string]: Json };

/** A value's text, of any length; NUL becomes U+2400, a lone surrogate U+FFFD. */
export function printable(value: unknown): string {
  return wellFormed(textOf(value)).replaceAll("\0", "\u2400");
}

/** Text of at most this many bytes of UTF-8. One that is cut ends in `… [+n bytes]`. */
export function text(value: unknown, limitBytes = TEXT_BYTES): string {
  const whole = printable(value);
  if (whole.length * 3 <= limitBytes) return whole;
  const bytes = encoder.encode(whole);
  if (bytes.length <= limitBytes) return whole;
  const shown = beginning(bytes, limitBytes - MARK_BYTES);
  return `${shown}… [+${bytes.length - encoder.encode(shown).length} bytes]`;
}

/** A text that people read, cut to this many characters; null where it says nothing. */
export function title(value: unknown, limit = NAME_CHARACTERS): string | null {
  if (value === null || value === undefined) return null;
  const characters = [...printable(value).slice(0, limit * 2 + 2)];
  const cut = characters.length > limit;
  return (cut ? `${characters.slice(0, limit - 1).join("")}…` : characters.join("")) || null;
}

/** A text that tells things apart: what is cut ends in a hash of the whole. Null where it says nothing. */
export function name(value: unknown, limit = NAME_CHARACTERS): string | null {
  if (value === null || value === undefined) return null;
  const whole = printable(value);
  const characters = [...whole.slice(0, limit * 2 + 2)];
  if (characters.length <= limit) return whole || null;
  return `${characters.slice(0, limit - 15).join("")}~${hash(whole)}`;
}

export function level(value: unknown): string {
  return (title(value, 32) ?? "info").toLowerCase();
}

/** A whole number within bounds; null for what is no number. */
export function whole(value: unknown, low = 0, high = LARGEST_NUMBER): number | null {
  const number = typeof value === "number" || typeof value === "bigint" ? Number(value) : NaN;
  return Number.isNaN(number) ? null : Math.round(Math.min(Math.max(number, low), high));
}

/** The value as plain JSON; one that is too large becomes `{"cut": true, "bytes": n, "beginning": "…"}`. */
export function json(value: unknown, limitBytes = JSON_BYTES): Json {
  const made = plain(value, DEPTH, { left: NODES }, new Set());
  const bytes = encoder.encode(JSON.stringify(made));
  if (bytes.length <= limitBytes) return made;
  return { cut: true, bytes: bytes.length, beginning: beginning(bytes, SHOWN_BYTES) };
}

/** As `json`, always an object: another value stands under `value`. */
export function mapping(value: unknown, limitBytes = JSON_BYTES): Record<string, Json> {
  if (value === null || value === undefined) return {};
  const made = json(value, limitBytes);
  return typeof made === "object" && made !== null && !Array.isArray(made) ? made : { value: made };
}

/** At most 64 labels, whose keys stay apart. */
export function labels(value: unknown): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, each] of Object.entries(mapping(value)).slice(0, 64)) {
    const fits = /^[A-Za-z0-9._/-]{1,128}$/.test(key);
    const label = fits ? key : `${key.replace(/[^A-Za-z0-9._/-]+/g, "-").slice(0, 96)}-${hash(key)}`;
    if (each !== null) found[label] = name(each, 256) ?? "";
  }
  return found;
}

/** A run's key. A text that is none yet becomes one that no other text becomes. */
export function key(value: unknown): string {
  const given = printable(value);
  if (keyFault(given) === null && !isUuid(given)) return given;
  const readable = given.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 96);
  const fitting = `${readable || "run"}-${hash(given)}`;
  return keyFault(fitting) === null ? fitting : `run-${hash(given)}`;
}

/** A project's slug or id; `default` where nothing is left of the text. */
export function project(value: unknown): string {
  const given = printable(value).trim();
  if (isUuid(given) || /^[a-z0-9][a-z0-9-]{0,62}$/.test(given)) return given;
  const slug = given.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+/, "").slice(0, 60).replace(/-+$/, "");
  // What is left of a text may look like an id, which would name another project.
  return (isUuid(slug) ? `p-${slug}` : slug) || "default";
}

/** The name of a log; names of feeds, whose lines are messages, are changed. */
export function source(value: unknown): string {
  const given = name(value) ?? "output";
  if (given === "spool.jsonl" || given === "events.jsonl") return `${given}~`;
  return sourceFault(given) === null ? given : `source-${hash(given)}`;
}

/** The name of a program's own event, `x:<name>`. */
export function eventName(value: unknown): string {
  const given = printable(value).replace(/^x:/, "");
  if (/^[A-Za-z0-9_.:-]{1,120}$/.test(given)) return `x:${given}`;
  return `x:${given.replace(/[^A-Za-z0-9_.:-]+/g, "-").slice(0, 100)}-${hash(given)}`;
}

export function steps(value: unknown): string[] {
  const given: unknown[] = Array.isArray(value) ? value : [value];
  return [...new Set(given.map((each) => name(each)).filter((each) => each !== null))].slice(0, 200);
}

export function isUuid(value: string): boolean {
  return /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(value);
}

/** What a thrown value says: its stack where it has one. */
export function fault(thrown: unknown): string {
  const stack = attempt(() => (thrown instanceof Error ? (thrown.stack ?? String(thrown)) : null));
  return text(stack ?? thrown);
}

function plain(value: unknown, depth: number, room: { left: number }, above: Set<object>): Json {
  room.left -= 1;
  if (room.left < 0) return "…";
  switch (typeof value) {
    case "string":
      return wellFormed(value);
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : null;
    case "undefined":
      return null;
    case "object":
      return value === null ? null : ofObject(value, depth, room, above);
    default:
      return printable(value);
  }
}

function ofObject(value: object, depth: number, room: { left: number }, above: Set<object>): Json {
  if (depth === 0 || above.has(value)) return "…";
  above.add(value);
  const inner = (each: unknown): Json => plain(each, depth - 1, room, above);
  const made = attempt((): Json => {
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
    if (value instanceof Error) return { name: inner(value.name), message: inner(value.message), stack: inner(value.stack) };
    if (value instanceof Map) return members([...value].map(([k, v]) => [textOf(k), v]), inner, room);
    if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`;
    if (Array.isArray(value) || value instanceof Set) return items(value, inner, room);
    const toJson: unknown = (value as { toJSON?: unknown }).toJSON;
    if (typeof toJson === "function") return inner(toJson.call(value));
    return members(Object.keys(value).map((k) => [k, attempt(() => (value as Record<string, unknown>)[k])]), inner, room);
  });
  above.delete(value);
  return made === null && !(value instanceof Date) ? textOf(value) : made;
}

function items(value: Iterable<unknown>, inner: (each: unknown) => Json, room: { left: number }): Json[] {
  const made: Json[] = [];
  for (const each of value) {
    if (room.left <= 0) break;
    made.push(inner(each));
  }
  return made;
}

function members(pairs: [string, unknown][], inner: (each: unknown) => Json, room: { left: number }): Json {
  const made: [string, Json][] = [];
  for (const [member, each] of pairs) {
    if (room.left <= 0) break;
    if (each !== undefined) made.push([wellFormed(member), inner(each)]);
  }
  // `fromEntries` defines members: one that is called `__proto__` stays a member.
  return Object.fromEntries(made);
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return attempt(() => String(value as string)) ?? `<${typeof value}>`;
}

function wellFormed(value: string): string {
  return /\p{Surrogate}/u.test(value) ? value.replace(/\p{Surrogate}/gu, "\ufffd") : value;
}

function beginning(bytes: Uint8Array, limit: number): string {
  let end = limit;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return decoder.decode(bytes.subarray(0, end));
}

/** A host's own getters and methods may throw anything; recording must not. */
function attempt<T>(make: () => T): T | null {
  try {
    return make();
  } catch {
    return null;
  }
}

/** 53 bits of a text, in 14 hexadecimal digits (cyrb53). It keeps names apart; it protects nothing. */
function hash(whole: string): string {
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let place = 0; place < whole.length; place += 1) {
    const unit = whole.charCodeAt(place);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  const number = 4294967296 * (2097151 & low) + (high >>> 0);
  return number.toString(16).padStart(14, "0");
}
