import { expect, it } from "vitest";
import { queryOf } from "./eventFilter";

it("filters by times, and by nothing where the address holds none", () => {
  expect(queryOf({ from: "x", to: "2026-01-31T10:00:00Z", layer: "worker" })).toEqual({
    to: "2026-01-31T10:00:00.000Z",
    layer: "worker",
  });
  expect(queryOf({ from: "+999999-01-01T00:00:00Z" })).toEqual({});
});
