import { expect, it } from "vitest";
import { bytes, duration, relativeTime } from "./format";

const NOW = Date.parse("2026-01-31T10:00:00Z");
const ago = (ms: number): string => relativeTime(new Date(NOW - ms).toISOString(), NOW);

it("says ages as people do, and nothing odd where a clock runs ahead", () => {
  expect([ago(1_000), ago(12_000), ago(5 * 60_000), ago(3 * 3_600_000), ago(2 * 86_400_000)]).toEqual([
    "now",
    "12s ago",
    "5m ago",
    "3h ago",
    "2d ago",
  ]);
  expect(ago(-3_600_000)).toBe("now");
});

it("says durations and sizes", () => {
  expect([400, 12_000, 184_000, 7_860_000, 273_600_000].map(duration)).toEqual([
    "0.4s",
    "12s",
    "3m 04s",
    "2h 11m",
    "3d 4h",
  ]);
  expect(duration(-5)).toBe("0.0s");
  expect([12, 2048, 5 * 1024 * 1024].map(bytes)).toEqual(["12 B", "2.0 KiB", "5.0 MiB"]);
});
