import { afterEach, expect, it } from "vitest";
import { noteServerTime, serverNow } from "./clock";

const AN_HOUR = 3_600_000;
const date = (ms: number): string => new Date(ms).toUTCString();

afterEach(() => noteServerTime(date(Date.now())));

it("counts by the server's clock where ours is off", () => {
  noteServerTime(date(Date.now() - AN_HOUR));
  expect(Math.abs(serverNow() - (Date.now() - AN_HOUR))).toBeLessThan(2_000);
});

it("keeps our own where they agree, or where the server doesn't say", () => {
  noteServerTime(date(Date.now() - 1_500));
  noteServerTime(null);
  noteServerTime("yesterday");
  expect(Math.abs(serverNow() - Date.now())).toBeLessThan(50);
});
