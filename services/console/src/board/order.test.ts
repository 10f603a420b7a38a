import { describe, expect, it } from "vitest";
import { positionBefore, positionBy } from "./order";

const siblings = [
  { id: "a", position: 1 },
  { id: "b", position: 2 },
  { id: "c", position: 4 },
];

describe("positions", () => {
  it("stand between neighbours, before the first, after the last", () => {
    expect(positionBefore(siblings, "a", "c")).toBe(3);
    expect(positionBefore(siblings, "c", "a")).toBe(0);
    expect(positionBefore(siblings, "a", null)).toBe(5);
    expect(positionBefore(siblings, "new", "b")).toBe(1.5);
  });

  it("stay where nothing would change", () => {
    expect(positionBefore(siblings, "a", "a")).toBeNull();
    expect(positionBefore(siblings, "a", "b")).toBeNull();
    expect(positionBefore(siblings, "c", null)).toBeNull();
    expect(positionBefore(siblings, "a", "gone")).toBeNull();
  });

  it("go up and down by one", () => {
    expect(positionBy(siblings, "b", -1)).toBe(0);
    expect(positionBy(siblings, "b", 1)).toBe(5);
    expect(positionBy(siblings, "a", 1)).toBe(3);
    expect(positionBy(siblings, "a", -1)).toBeNull();
    expect(positionBy(siblings, "c", 1)).toBeNull();
  });
});
