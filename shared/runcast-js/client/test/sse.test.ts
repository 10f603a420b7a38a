import { describe, expect, it } from "vitest";
import { type SseFrame, SseParser } from "../src/index.js";

function parse(...chunks: string[]) {
  const frames: SseFrame[] = [];
  const positions: string[] = [];
  const retries: number[] = [];
  const parser = new SseParser({
    onFrame: (frame) => frames.push(frame),
    onPosition: (id) => positions.push(id),
    onRetry: (milliseconds) => retries.push(milliseconds),
  });
  for (const chunk of chunks) parser.feed(chunk);
  return { frames, positions, retries };
}

describe("SseParser", () => {
  it("gives id, event and data of a frame", () => {
    const { frames } = parse('id: 4711\nevent: agent:log\ndata: {"line":"x"}\n\n');
    expect(frames).toEqual([{ id: "4711", event: "agent:log", data: '{"line":"x"}' }]);
  });

  it("gives the same frames however the text is cut", () => {
    const text = "\ufeffid: 1\r\nevent: a\rdata: é😀\r\n\r\n: hb\nid: 2\n\ndata: x\ndata:  y\n\n";
    const whole = parse(text);
    expect(parse(...text)).toEqual(whole);
    expect(whole.frames.map((frame) => frame.data)).toEqual(["é😀", "x\n y"]);
    expect(whole.positions).toEqual(["2"]);
  });

  it("takes CR, LF and CRLF as line ends, also when CR and LF arrive apart", () => {
    expect(parse("data: a\r", "\ndata: b\r", "\r").frames[0]?.data).toBe("a\nb");
  });

  it("moves the position by a heartbeat and dispatches nothing", () => {
    const { frames, positions } = parse(": hb\nid: 99\n\n");
    expect(frames).toEqual([]);
    expect(positions).toEqual(["99"]);
  });

  it("ignores an id that holds NUL, a retry that isn't digits, and unknown fields", () => {
    const { frames, retries } = parse("id: a\0b\nretry: 5x\nretry: 1500\nfoo: bar\ndata\n\n");
    expect(frames).toEqual([{ id: null, event: "message", data: "" }]);
    expect(retries).toEqual([1500]);
  });

  it("drops what the stream ended in the middle of", () => {
    expect(parse("data: whole\n\ndata: half\n").frames).toHaveLength(1);
  });
});
