import type { Run } from "@runcast/client";
import { expect, it } from "vitest";
import { barsIn, dayStart, daysOf, ticksIn, zoomed } from "./plot";

const AT = Date.parse("2026-01-31T10:00:00Z");
const at = (minutes: number): string => new Date(AT + minutes * 60_000).toISOString();
const run = (from: number, to: number | null, status = "completed"): Run =>
  ({
    created_at: at(from),
    started_at: at(from),
    finished_at: to === null ? null : at(to),
    status,
  }) as Run;

it("puts runs that overlap into lanes, and others behind each other", () => {
  const bars = barsIn([run(5, 9), run(0, 4), run(1, 8), run(2, null, "running")], [AT, AT + 3_600_000], AT + 600_000);
  expect(bars.map(({ lane }) => lane)).toEqual([0, 1, 2, 0]);
  expect(bars[2]?.to).toBe(AT + 600_000);
});

it("shows only what a span touches", () => {
  expect(barsIn([run(-20, -10), run(-5, 5), run(70, 80)], [AT, AT + 3_600_000], AT)).toHaveLength(1);
});

it("zooms about a place and stays within what there is", () => {
  const whole = [0, 100_000] as const;
  expect(zoomed(whole, 0.5, 0.5, whole)).toEqual([25_000, 75_000]);
  expect(zoomed([0, 50_000], 0, 10, whole)).toEqual([0, 100_000]);
  expect(zoomed([90_000, 100_000], 1, 2, whole)).toEqual([80_000, 100_000]);
  expect(zoomed([0, 1_000], 0.5, 0.1, whole)).toEqual([0, 1_000]);
});

it("has round ticks, never too many", () => {
  for (const length of [10_000, 3_600_000, 86_400_000, 30 * 86_400_000]) {
    const ticks = ticksIn([AT + 7, AT + 7 + length], 8);
    expect(ticks.length).toBeGreaterThan(0);
    expect(ticks.length).toBeLessThanOrEqual(9);
  }
});

it("adds up days, with the median of what ended", () => {
  const days = daysOf([run(0, 1), run(0, 3), run(0, 9, "failed"), run(-1440, null, "running")], 2, AT);
  expect(days.map(({ day, total, median }) => [day, total, median])).toEqual([
    ["2026-01-30", 1, null],
    ["2026-01-31", 3, 180_000],
  ]);
  expect(days[1]?.counts).toEqual({ completed: 2, failed: 1 });
});

it("begins the first day at midnight in UTC, as the first bar does", () => {
  expect(new Date(dayStart(2, AT)).toISOString()).toBe("2026-01-30T00:00:00.000Z");
  expect(dayStart(1, dayStart(1, AT))).toBe(dayStart(1, AT));
  expect(daysOf([], 7, AT)[0]?.day).toBe(new Date(dayStart(7, AT)).toISOString().slice(0, 10));
});
