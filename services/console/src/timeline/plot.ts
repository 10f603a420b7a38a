/** Where runs stand on a plot over time, and what each day adds up to. */
import type { Run, RunStatus } from "@runcast/client";

export type Span = readonly [from: number, to: number];

/** What a run's place on the plots needs. */
export type PlottedRun = Pick<
  Run,
  "id" | "number" | "name" | "key" | "status" | "created_at" | "started_at" | "finished_at"
>;

export interface Bar {
  run: PlottedRun;
  /** Milliseconds since the epoch; the end of a run that goes on is now. */
  from: number;
  to: number;
  lane: number;
}

const startOf = (run: PlottedRun): number => Date.parse(run.started_at ?? run.created_at);
const endOf = (run: PlottedRun, now: number): number => (run.finished_at ? Date.parse(run.finished_at) : now);

/**
 * The runs that a span shows, each in the first lane that is free by its start. `gap` keeps that much
 * time between two runs of a lane, so that short ones can be told apart.
 */
export function barsIn(runs: readonly PlottedRun[], [from, to]: Span, now: number, gap = 0): Bar[] {
  const shown = runs
    .map((run) => ({ run, from: startOf(run), to: Math.max(startOf(run), endOf(run, now)) }))
    .filter((bar) => bar.to >= from && bar.from <= to)
    .sort((a, b) => a.from - b.from);
  const freeAt: number[] = [];
  return shown.map((bar) => {
    const found = freeAt.findIndex((at) => at <= bar.from);
    const lane = found === -1 ? freeAt.length : found;
    freeAt[lane] = bar.to + gap;
    return { ...bar, lane };
  });
}

/** From shortly before the first run to the end of the range: nothing to see is not shown. */
export function extentOf(runs: readonly PlottedRun[], [from, to]: Span): Span {
  const first = Math.min(to - 60_000, ...runs.map(startOf));
  return [Math.max(from, first - 0.03 * (to - first)), to];
}

/** The span around a place in it that is `factor` times as long; never longer than `most`, nor under a second. */
export function zoomed([from, to]: Span, share: number, factor: number, most: Span): Span {
  const length = Math.min(Math.max((to - from) * factor, 1_000), most[1] - most[0]);
  const at = from + (to - from) * share;
  const start = Math.min(Math.max(at - length * share, most[0]), most[1] - length);
  return [start, start + length];
}

const SECOND = 1_000;
const STEPS = [1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000].map(
  (seconds) => seconds * SECOND,
);

/** Round times within a span, at most `most` of them. */
export function ticksIn([from, to]: Span, most: number): number[] {
  const step = STEPS.find((each) => (to - from) / each <= most) ?? (to - from) / most;
  const offset = new Date(from).getTimezoneOffset() * 60 * SECOND;
  const first = Math.ceil((from - offset) / step) * step + offset;
  const ticks: number[] = [];
  for (let at = first; at <= to; at += step) ticks.push(at);
  return ticks;
}

export interface Day {
  /** The day in UTC, as `2026-01-31`. */
  day: string;
  counts: Partial<Record<RunStatus, number>>;
  total: number;
  /** The median time of the runs that ended, in milliseconds; null without any. */
  median: number | null;
}

const DAY = 86_400 * SECOND;

/** When the first of the last `days` days in UTC began; the day of `now` is the last one. */
export const dayStart = (days: number, now: number): number => (Math.floor(now / DAY) - (days - 1)) * DAY;

/** Each of the last `days` days in UTC, oldest first, with the runs that were created on it. */
export function daysOf(runs: readonly PlottedRun[], days: number, now: number): Day[] {
  const byDay = new Map<string, PlottedRun[]>();
  for (const run of runs) {
    const day = run.created_at.slice(0, 10);
    byDay.set(day, [...(byDay.get(day) ?? []), run]);
  }
  return Array.from({ length: days }, (_, i) => {
    const day = new Date(dayStart(days, now) + i * DAY).toISOString().slice(0, 10);
    return dayOf(day, byDay.get(day) ?? []);
  });
}

function dayOf(day: string, runs: readonly PlottedRun[]): Day {
  const counts: Day["counts"] = {};
  for (const { status } of runs) counts[status] = (counts[status] ?? 0) + 1;
  const took = runs
    .flatMap((run) => (run.started_at && run.finished_at ? [endOf(run, 0) - startOf(run)] : []))
    .sort((a, b) => a - b);
  return { day, counts, total: runs.length, median: took[took.length >> 1] ?? null };
}
