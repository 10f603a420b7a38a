import { expect, test } from "vitest";
import { LONG, shortened, visible } from "./visible";

test("what can't be seen is shown by its number", () => {
  expect(visible("rm \u202etxt.exe\u0000\u200b")).toBe("rm <U+202E>txt.exe<U+0000><U+200B>");
  expect(visible("hi\u{e0072}\u3164!")).toBe("hi<U+E0072><U+3164>!");
  expect(visible("👩‍🚀 👩🏽‍🚀 🏳️‍🌈 a\u200db 🚀\u200d x")).toBe("👩‍🚀 👩🏽‍🚀 🏳️‍🌈 a<U+200D>b 🚀<U+200D> x");
  expect(visible("one\r\ntwo\rthree")).toBe("one\r\ntwo<U+000D>three");
  expect(visible("two\nlines\tand ümläuts 日本")).toBe("two\nlines\tand ümläuts 日本");
});

test("a long text says how much is left out", () => {
  expect(shortened("x".repeat(LONG))).toBeNull();
  const cut = shortened("x".repeat(LONG + 7));
  expect(cut?.leftOut).toBe(7);
  expect((cut?.head.length ?? 0) + (cut?.tail.length ?? 0)).toBe(LONG);
});
