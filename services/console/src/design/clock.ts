/**
 * The server's clock. Ages are counted from times that the server wrote, so a computer whose own
 * clock is an hour off would show them an hour off.
 */
const TOLERATED_MS = 3_000;

let offset = 0;

/** Learns from an answer's `Date` header, which is cut to seconds and late by the way it took. */
export function noteServerTime(date: string | null, local = Date.now()): void {
  const difference = date === null ? NaN : Date.parse(date) - local;
  if (!Number.isNaN(difference)) offset = Math.abs(difference) < TOLERATED_MS ? 0 : difference;
}

export const serverNow = (): number => Date.now() + offset;
