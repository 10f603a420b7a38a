import { expect, it } from "vitest";
import { extended, hashOf, rangeOf } from "./permalink";

it("reads a line and a range, whichever way round", () => {
  expect(rangeOf("#L120")).toEqual([120, 120]);
  expect(rangeOf("#L120-130")).toEqual([120, 130]);
  expect(rangeOf("#L130-L120")).toEqual([120, 130]);
});

it("takes nothing else for a line", () => {
  for (const hash of ["", "#L", "#L0", "#Lx", "#token=L12", "#L-3"]) expect(rangeOf(hash)).toBeNull();
});

it("writes what it reads", () => {
  expect(hashOf([7, 7])).toBe("#L7");
  expect(rangeOf(hashOf([7, 9]))).toEqual([7, 9]);
});

it("extends to the clicked line", () => {
  expect(extended(null, 5)).toEqual([5, 5]);
  expect(extended([5, 7], 3)).toEqual([3, 7]);
  expect(extended([5, 7], 9)).toEqual([5, 9]);
});
