import { afterEach, expect, it } from "vitest";
import { noteServerTime, serverNow } from "./clock";

const AN_HOUR = 3_600_000;
const date = (ms: number): string => new Date(ms).toUTCString();

afterEach(() => noteServerTime(date(Date.now())));

it("counts by the server's clock where ours is off", () => {
  const before = Date.now() - AN_HOUR;
  noteServerTime(date(before));
  // The header counts whole seconds.
  expect(serverNow()).toBeGreaterThanOrEqual(before - 1_000);
  expect(serverNow()).toBeLessThanOrEqual(Date.now() - AN_HOUR + 1_000);
});

it("keeps our own where they agree, or where the server doesn't say", () => {
  noteServerTime(date(Date.now() - 1_500));
  noteServerTime(null);
  noteServerTime("yesterday");
  const before = Date.now();
  const now = serverNow();
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(Date.now());
});
