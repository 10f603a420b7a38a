import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ConnectionOptions, ProjectConnection, type RuncastEvent } from "../src/index.js";
import { TestServer, connected, frame, log, settle } from "./server.js";

const EVENTS = "/projects/p/events";

function open(options: ConnectionOptions = {}) {
  const server = new TestServer();
  const connection = new ProjectConnection(server.http, "p", { random: () => 1, ...options });
  const events: RuncastEvent[] = [];
  connection.onEvents((batch) => events.push(...batch));
  return { server, connection, events };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("ProjectConnection", () => {
  it("sends the token in a header and the filter in the address", async () => {
    const { server } = open({ logs: ["b", "a"], logTail: 5 });
    await settle();
    const request = server.last(EVENTS);
    expect(request.headers.Authorization).toBe("Bearer rc_test");
    expect(request.headers["Last-Event-ID"]).toBeUndefined();
    expect(request.url.searchParams.get("subscribe_logs")).toBe("a,b");
    expect(request.url.searchParams.get("log_tail")).toBe("5");
  });

  it("is live after `connected`, and starts from its head", async () => {
    const { server, connection, events } = open();
    await settle();
    expect(connection.state.status).toBe("connecting");
    server.last(EVENTS).stream(connected({ head: 41 }));
    await settle();
    expect(connection.state).toEqual({ status: "live", connectionId: "c1" });
    expect(connection.position).toBe(41);
    expect(events.map((event) => event.type)).toEqual(["connected"]);
  });

  it("asks for the tail again when it was cut off among its lines", async () => {
    const { server, connection, events } = open({ logs: "all", logTail: 2 });
    await settle();
    server.last(EVENTS).stream(connected({ head: 41 }) + log(null, "r", 1));
    await settle();
    server.last(EVENTS).end();
    await settle();
    await vi.advanceTimersByTimeAsync(1000);
    const request = server.last(EVENTS);
    expect(request.headers["Last-Event-ID"]).toBeUndefined();
    expect(request.url.searchParams.get("log_tail")).toBe("2");
    request.stream(connected({ head: 41 }) + log(null, "r", 1) + log(null, "r", 2) + "id: 41\n\n");
    await settle();
    expect(connection.position).toBe(41);
    const lines = events.filter((event) => event.type === "agent:log");
    expect(lines.map((event) => event.data.line_number)).toEqual([1, 2]);
  });

  it("resumes after the last number it handled, with the history's epoch", async () => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).stream(connected() + frame(11, "run:updated", {}));
    await settle();
    server.last(EVENTS).end();
    await settle();
    expect(connection.state.status).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(1000);
    const request = server.last(EVENTS);
    expect(request.headers["Last-Event-ID"]).toBe("11");
    expect(request.url.searchParams.get("epoch")).toBe("e1");
  });

  it("hands on no number twice", async () => {
    const { server, events } = open({ lastEventId: 10 });
    await settle();
    const text = connected({ resumed_from: 10 }) + log(11, "r", 1) + log(12, "r", 2);
    server.last(EVENTS).stream(text + log(11, "r", 1) + log(12, "r", 2) + log(13, "r", 3));
    await settle();
    expect(events.filter((event) => event.id !== null).map((event) => event.id)).toEqual([
      11, 12, 13,
    ]);
  });

  it("hands on a backfilled line only if it is new", async () => {
    const { server, events } = open();
    await settle();
    server.last(EVENTS).stream(connected() + log(11, "r", 7));
    server.last(EVENTS).push(log(null, "r", 6) + log(null, "r", 7) + log(null, "s", 7));
    await settle();
    const lines = events.filter((event) => event.type === "agent:log");
    expect(lines.map(({ data }) => [data.run_id, data.line_number])).toEqual([
      ["r", 7],
      ["r", 6],
      ["s", 7],
    ]);
  });

  it("moves its position by heartbeats and by gaps", async () => {
    const { server, connection, events } = open();
    await settle();
    server.last(EVENTS).stream(connected() + ": hb\nid: 500\n\n");
    await settle();
    expect(connection.position).toBe(500);
    const gap = { from: 501, to: 900, reason: "lag", refetch: ["/runs/r/logs"] };
    server.last(EVENTS).push(frame(900, "gap", gap));
    await settle();
    expect(connection.position).toBe(900);
    expect(events.at(-1)).toMatchObject({ type: "gap", data: gap });
  });

  it("goes back when told that its position was beyond the head", async () => {
    const { server, connection } = open({ lastEventId: 5000 });
    await settle();
    const gap = { from: 4, to: 3, reason: "ahead_of_head", refetch: [] };
    server.last(EVENTS).stream(connected({ head: 3, resumed_from: 3 }) + frame(3, "gap", gap));
    server.last(EVENTS).push(frame(4, "x:next", {}));
    await settle();
    expect(connection.position).toBe(4);
  });

  it("waits 1, 2, 4, 8, 16, 30, 30 s between attempts that fail", async () => {
    const { server, connection } = open();
    const waits: number[] = [];
    for (let i = 0; i < 7; i += 1) {
      await settle();
      server.last(EVENTS).fail("connection refused");
      await settle();
      if (connection.state.status !== "reconnecting") throw new Error(connection.state.status);
      waits.push(connection.state.retryAt - Date.now());
      expect(connection.state.attempt).toBe(i + 1);
      await vi.advanceTimersByTimeAsync(waits[i] ?? 0);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  });

  it("jitters a wait down to half of its step", async () => {
    const { server, connection } = open({ random: () => 0 });
    await settle();
    server.last(EVENTS).fail("connection refused");
    await settle();
    expect(connection.state).toMatchObject({ retryAt: Date.now() + 500 });
  });

  it("heeds `retry:` and Retry-After", async () => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).stream(connected() + "retry: 2750\n" + frame(null, "bye", { reason: "shutdown" }));
    server.last(EVENTS).end();
    await settle();
    expect(connection.state).toMatchObject({ retryAt: Date.now() + 2750 });
    await vi.advanceTimersByTimeAsync(2750);
    server.last(EVENTS).json({ title: "Too many" }, 429, { "retry-after": "9" });
    await settle();
    expect(connection.state).toMatchObject({ retryAt: Date.now() + 9000 });
  });

  it("retries at once when asked", async () => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).fail("offline");
    await settle();
    connection.retryNow();
    await settle();
    expect(server.count(EVENTS)).toBe(2);
  });

  it.each([401, 403, 404])("gives up on %i and says why", async (status) => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).json({ title: "No", detail: "not yours" }, status);
    await settle();
    expect(connection.state).toMatchObject({ status: "closed", problem: { status } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.count(EVENTS)).toBe(1);
  });

  it("is closed by a bye that says deleted, and reconnects after one that says timeout", async () => {
    const first = open();
    await settle();
    first.server.last(EVENTS).stream(connected() + frame(null, "bye", { reason: "deleted" }));
    await settle();
    expect(first.connection.state).toMatchObject({ status: "closed", reason: "deleted" });

    const second = open();
    await settle();
    second.server.last(EVENTS).stream(connected() + frame(null, "bye", { reason: "timeout" }));
    second.server.last(EVENTS).end();
    await settle();
    expect(second.connection.state.status).toBe("reconnecting");
  });

  it("takes a server for gone that is silent for two and a half heartbeats", async () => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).stream(connected({ heartbeat_s: 10 }));
    await settle();
    await vi.advanceTimersByTimeAsync(22_000);
    server.last(EVENTS).push(": hb\n\n");
    await settle();
    await vi.advanceTimersByTimeAsync(24_000);
    expect(connection.state.status).toBe("live");
    await vi.advanceTimersByTimeAsync(1_500);
    expect(connection.state.status).toBe("reconnecting");
  });

  it("changes the filter of the open connection, one request at a time, the last one wins", async () => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    connection.setLogs(["a"]);
    connection.setLogs(["b"]);
    connection.setLogs("all");
    await settle();
    expect(server.count("/connections/c1")).toBe(1);
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: ["a"] });
    server.last("/connections/c1").json({ effective_after: 12 });
    await settle();
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: "all" });
    server.last("/connections/c1").json({ effective_after: 12 });
    await settle();
    expect(server.count("/connections/c1")).toBe(2);
    expect(server.count(EVENTS)).toBe(1);
  });

  it("opens again with the wanted filter when it can't be changed", async () => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    connection.setLogs(["a"]);
    await settle();
    server.last("/connections/c1").json({ title: "Not found" }, 404);
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.last(EVENTS).url.searchParams.get("subscribe_logs")).toBe("a");
    expect(server.count(EVENTS)).toBe(2);
  });

  it("takes a new ticket for each attempt, and then sends no token", async () => {
    let made = 0;
    const { server } = open({ ticket: () => Promise.resolve(`t${(made += 1)}`) });
    await settle();
    expect(server.last(EVENTS).url.searchParams.get("ticket")).toBe("t1");
    expect(server.last(EVENTS).headers.Authorization).toBeUndefined();
    server.last(EVENTS).fail("refused");
    await settle();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(server.last(EVENTS).url.searchParams.get("ticket")).toBe("t2");
  });

  it("follows a single run where the project isn't seen", async () => {
    const { server, connection } = open({ onlyRun: "r" });
    await settle();
    server.last("/runs/r/stream").stream(connected() + log(11, "r", 1));
    await settle();
    connection.setLogs(["r"]);
    await settle();
    expect(connection.position).toBe(11);
    expect(server.exchanges).toHaveLength(1);
    server.last("/runs/r/stream").push(frame(null, "bye", { reason: "complete" }));
    await settle();
    expect(connection.state).toMatchObject({ status: "closed", reason: "complete" });
  });

  it("ends its request and its timers when closed", async () => {
    const { server, connection } = open();
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    connection.close();
    await settle();
    expect(server.last(EVENTS).isAborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});
