import { describe, expect, it } from "vitest";
import { CHUNK_LINES, type LogEntry, RunLog, type RuncastEvent } from "../src/index.js";
import { TestServer, settle } from "./server.js";

const LOGS = "/runs/r/logs";

function entry(n: number, message = `line ${n}`): LogEntry {
  return {
    id: n,
    run_id: "r",
    line_number: n,
    ts: "2026-01-31T10:00:00.000Z",
    level: "info",
    agent_name: null,
    event_type: null,
    message,
    payload: null,
    source: "logs.txt",
    source_line: n,
  };
}
const entries = (from: number, to: number): LogEntry[] =>
  Array.from({ length: to - from + 1 }, (_, i) => entry(from + i));
const live = (n: number): RuncastEvent => ({
  id: n,
  type: "agent:log",
  data: { run_id: "r", line_number: n, line: `line ${n}`, ts: null },
});

async function opened(length: number) {
  const server = new TestServer();
  const log = new RunLog(server.http, "r");
  const loading = log.open();
  server.last(LOGS).json({ logs: entries(Math.max(1, length - CHUNK_LINES + 1), length) });
  await loading;
  return { server, log };
}

describe("RunLog", () => {
  it("opens at the end and knows how long the log is", async () => {
    const { server, log } = await opened(1_000_000);
    expect(server.last(LOGS).url.searchParams.get("tail")).toBe("500");
    expect(log.lastLine).toBe(1_000_000);
    expect(log.line(1_000_000)?.content).toBe("line 1000000");
    expect(log.line(1)).toBeUndefined();
  });

  it("fetches the chunk of a line that is looked at, once", async () => {
    const { server, log } = await opened(1_000_000);
    log.show(120_010, 120_060);
    log.show(120_011, 120_061);
    expect(server.count(LOGS)).toBe(2);
    expect(server.last(LOGS).url.searchParams.get("after_line")).toBe("120000");
    server.last(LOGS).json({ logs: entries(120_001, 120_500) });
    await settle();
    expect(log.line(120_010)?.content).toBe("line 120010");
    log.show(120_010, 120_060);
    expect(server.count(LOGS)).toBe(2);
  });

  it("gives up requests for lines that no one looks at any more", async () => {
    const { server, log } = await opened(1_000_000);
    log.show(100, 150);
    const passed = server.last(LOGS);
    log.show(500_000, 500_050);
    expect(passed.isAborted).toBe(true);
  });

  it("puts live lines in their place and fetches the hole that a lost connection left", async () => {
    const { server, log } = await opened(10);
    log.show(1, 20);
    log.take([live(11), live(14), live(14)]);
    expect(log.lastLine).toBe(14);
    expect(log.missing(1, 14)).toEqual([12, 13]);
    log.show(1, 20);
    server.last(LOGS).json({ logs: entries(1, 14) });
    await settle();
    expect(log.missing(1, 14)).toEqual([]);
  });

  it("stays within its budget and keeps what is looked at", async () => {
    const { server, log } = await opened(1_000_000);
    for (let chunk = 0; chunk < 40; chunk += 1) {
      log.show(chunk * CHUNK_LINES + 1, (chunk + 1) * CHUNK_LINES);
      const from = chunk * CHUNK_LINES + 1;
      const page = entries(from, from + CHUNK_LINES - 1);
      for (const one of page) one.message = "x".repeat(4000);
      server.last(LOGS).json({ logs: page });
      await settle();
    }
    expect(log.heldBytes).toBeLessThan(26 * 1024 * 1024);
    expect(log.missing(39 * CHUNK_LINES + 1, 40 * CHUNK_LINES)).toEqual([]);
    expect(log.line(1)).toBeUndefined();
  });

  it("asks once for lines that retention removed, and knows where the log begins", async () => {
    const { server, log } = await opened(4_000);
    log.show(1, 40);
    server.last(LOGS).json({ logs: [] });
    await settle();
    log.show(1_400, 1_440);
    server.last(LOGS).json({ logs: entries(1_501, 1_501) });
    await settle();
    const before = server.count(LOGS);
    log.show(1, 40);
    log.show(1_400, 1_440);
    await settle();
    expect(log.firstLine).toBe(1_501);
    expect(server.count(LOGS)).toBe(before);
  });

  it("reads a chunk to its end though an answer holds only a part of it", async () => {
    const { server, log } = await opened(4_000);
    log.show(1_001, 1_040);
    server.last(LOGS).json({ logs: entries(1_001, 1_200) });
    await settle();
    log.show(1_001, 1_040);
    expect(server.last(LOGS).url.searchParams.get("after_line")).toBe("1200");
  });

  it("keeps what it has when a request fails, and says so", async () => {
    const { server, log } = await opened(1_000);
    log.show(1, 10);
    server.last(LOGS).json({ title: "Down" }, 503);
    await settle();
    expect(log.error?.message).toContain("Down");
    expect(log.line(1_000)).toBeDefined();
    log.close();
  });
});
