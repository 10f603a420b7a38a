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

const CONTEXT = 3;
const AFTER = 6;

/** A line as it is compared: without colours, and perhaps without what differs from run to run. */
export function comparable(line: string, ignoresNumbers: boolean): string {
  const text = withoutEscapes(line).trimEnd();
  return ignoresNumbers ? text.replace(/\b[0-9a-f]{8,}\b|\d+(?:[.,:]\d+)*/gi, "#") : text;
}

/**
 * Reads both logs side by side until they differ; null where they are the same to the end of the shorter
 * one's and the other's end alike. Neither is read further than needed.
 */
export async function firstDifference(
  a: AsyncIterable<LogEntry>,
  b: AsyncIterable<LogEntry>,
  ignoresNumbers: boolean,
): Promise<{ difference: Difference | null; same: number }> {
  const left = a[Symbol.asyncIterator]();
  const right = b[Symbol.asyncIterator]();
  const before: LogEntry[] = [];
  let same = 0;
  try {
    for (;;) {
      const [one, other] = await Promise.all([left.next(), right.next()]);
      if (one.done && other.done) return { difference: null, same };
      const isSame =
        !one.done &&
        !other.done &&
        comparable(one.value.message, ignoresNumbers) === comparable(other.value.message, ignoresNumbers);
      if (!isSame) {
        const rest = await Promise.all([linesFrom(one, left), linesFrom(other, right)]);
        return { difference: { before, a: rest[0], b: rest[1], same }, same };
      }
      same += 1;
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
