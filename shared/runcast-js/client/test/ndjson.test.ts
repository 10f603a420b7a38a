import { expect, it } from "vitest";
import { ndjson } from "../src/index.js";

function streamOf(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

it("gives each value, however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode('{"a":"é😀"}\n\n{"b":2}\n{"c":3}');
  const found: unknown[] = [];
  for await (const value of ndjson(streamOf(...Array.from(bytes, (b) => Uint8Array.of(b))))) {
    found.push(value);
  }
  expect(found).toEqual([{ a: "é😀" }, { b: 2 }, { c: 3 }]);
});

it("ends the request when the reader has enough", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode('{"n":1}\n')),
    cancel: () => void (cancelled = true),
  });
  for await (const _ of ndjson(body)) break;
  expect(cancelled).toBe(true);
});
