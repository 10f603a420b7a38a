import { act, renderHook } from "@testing-library/react";
import { expect, it } from "vitest";
import { useTyped } from "./useTyped";

it("takes over where a link leads, also to what was typed and undone before", async () => {
  const { result, rerender } = renderHook(({ q }) => useTyped(q, () => Promise.resolve()), { initialProps: { q: "" } });
  await act(async () => {
    result.current[1]("a");
    result.current[1]("");
  });
  rerender({ q: "a" });
  expect(result.current[0]).toBe("a");
});

it("keeps what is typed while the address is a keystroke late", () => {
  const { result, rerender } = renderHook(({ q }) => useTyped(q, () => new Promise<void>(() => undefined)), {
    initialProps: { q: "" },
  });
  for (const text of ["a", "ab", "abc"]) act(() => result.current[1](text));
  rerender({ q: "ab" });
  expect(result.current[0]).toBe("abc");
});
