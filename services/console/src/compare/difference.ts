/** The first place at which two logs say different things. */
import { type LogEntry, withoutEscapes } from "@runcast/client";

export interface Difference {
  /** The lines that both have, directly before. */
  before: readonly LogEntry[];
  a: readonly LogEntry[];
  b: readonly LogEntry[];
  /** How many lines are the same. */
  same: number;
}

export interface Compared {
  difference: Difference | null;
  /** How many lines are the same. */
  same: number;
  /** The last of these lines. */
  before: readonly LogEntry[];
  /** The number of the last of these lines in each log: comparing goes on after it. */
  ends: readonly [a: number, b: number];
}

export const NOTHING: Compared = { difference: null, same: 0, before: [], ends: [0, 0] };

const CONTEXT = 3;
const AFTER = 6;

/** What differs from run to run, the longest forms first: a part of a UUID is a number, too. */
const CHANGING = new RegExp(
  [
    /\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/,
    /\b0x[0-9a-f]+\b/,
    // A hash, also a short one; seven letters alone may be a word.
    /\b[0-9a-f]{8,}\b/,
    /\b(?=\w*\d)[0-9a-f]{7,}\b/,
    // An id such as 01HZX3… or the part of req_01HZX3… after its prefix: letters and at least two digits.
    /(?<![0-9a-z])(?=(?:[a-z]*\d){2})[0-9a-z]{10,}(?![0-9a-z])/,
    /\d+(?:[.,:]\d+)*/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "gi",
);

/** A line as it is compared: without colours, and perhaps without what differs from run to run. */
export function comparable(line: string, ignoresNumbers: boolean): string {
  const text = withoutEscapes(line).trimEnd();
  return ignoresNumbers ? text.replace(CHANGING, "#") : text;
}

/**
 * Whether the logs have got lines that can change what was found: where they are the same so far, or where
 * one of them ended. `a` and `b` are the numbers of their last lines now.
 */
export function goesOn({ difference, ends }: Compared, a: number, b: number): boolean {
  const hasMore = [a > ends[0], b > ends[1]];
  if (difference === null) return hasMore.includes(true);
  return (difference.a.length === 0 && hasMore[0] === true) || (difference.b.length === 0 && hasMore[1] === true);
}

/**
 * Reads both logs side by side until they differ; no difference where both end with the same line. Neither
 * is read further than needed. With `known`, both begin after the lines that are known to be the same.
 */
export async function firstDifference(
  a: AsyncIterable<LogEntry>,
  b: AsyncIterable<LogEntry>,
  ignoresNumbers: boolean,
  known: Compared = NOTHING,
): Promise<Compared> {
  const left = a[Symbol.asyncIterator]();
  const right = b[Symbol.asyncIterator]();
  const before = [...known.before];
  let { same, ends } = known;
  try {
    for (;;) {
      const [one, other] = await Promise.all([left.next(), right.next()]);
      if (one.done && other.done) return { difference: null, same, before, ends };
      const isSame =
        !one.done &&
        !other.done &&
        comparable(one.value.message, ignoresNumbers) === comparable(other.value.message, ignoresNumbers);
      if (!isSame) {
        const rest = await Promise.all([linesFrom(one, left), linesFrom(other, right)]);
        return { difference: { before, a: rest[0], b: rest[1], same }, same, before, ends };
      }
      same += 1;
      ends = [one.value.line_number, other.value.line_number];
      before.push(one.value);
      if (before.length > CONTEXT) before.shift();
    }
  } finally {
    await Promise.all([left.return?.(), right.return?.()]);
  }
}

async function linesFrom(first: IteratorResult<LogEntry>, rest: AsyncIterator<LogEntry>): Promise<LogEntry[]> {
  const lines: LogEntry[] = [];
  for (let next = first; !next.done; next = await rest.next()) {
    lines.push(next.value);
    if (lines.length === AFTER) break;
  }
  return lines;
}
