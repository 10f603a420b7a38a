import { expect, test } from "vitest";
import { jsonText } from "./jsonLines";

test("the message comes first, the time and the level stand elsewhere, nothing else is left out", () => {
  expect(jsonText('{"level":30,"time":1769853605123,"pid":7,"msg":"it listens","to":"a b"}')).toBe(
    'it listens pid=7 to="a b"',
  );
  expect(jsonText('{"event":"started","severity":"INFO","extra":{"a":[1]}}')).toBe('started extra={"a":[1]}');
});

test("what is no object with a message stays as it is", () => {
  for (const line of ["", "words", "{", "{}", '{"msg":5}', "[1]", `{"msg":"${"x".repeat(70_000)}"}`]) {
    expect(jsonText(line)).toBeNull();
  }
});
