import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ConnectionPool, type LiveConnection, ProjectConnection, ProjectHandle } from "../src/index.js";
import { TestServer, connected, settle } from "./server.js";

const EVENTS = "/projects/p/events";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("ConnectionPool", () => {
  function pool() {
    const server = new TestServer();
    const connections = new ConnectionPool<LiveConnection, ProjectHandle>(ProjectHandle);
    const acquire = () => connections.acquire("p", () => new ProjectConnection(server.http, "p"));
    return { server, acquire };
  }

  it("gives all who ask the same stream, with the lines that any of them wants", async () => {
    const { server, acquire } = pool();
    const [first, second] = [acquire(), acquire()];
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    first.setLogs(["a"]);
    second.setLogs(["b"]);
    await settle();
    server.last("/connections/c1").json({});
    await settle();
    expect(server.count(EVENTS)).toBe(1);
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: ["a", "b"] });
    server.last("/connections/c1").json({});
    await settle();
    second.close();
    await settle();
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: ["a"] });
  });

  it("keeps the stream from one page to the next, and closes it when no one comes", async () => {
    const { server, acquire } = pool();
    acquire().close();
    await vi.advanceTimersByTimeAsync(1_000);
    const next = acquire();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(server.count(EVENTS)).toBe(1);
    expect(server.last(EVENTS).isAborted).toBe(false);
    next.close();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(server.last(EVENTS).isAborted).toBe(true);
  });

  it("tells a handle nothing after it closed", async () => {
    const { server, acquire } = pool();
    const [kept, gone] = [acquire(), acquire()];
    const told: string[] = [];
    kept.onState(() => told.push("kept"));
    gone.onState(() => told.push("gone"));
    gone.close();
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    expect(told).toEqual(["kept"]);
  });
});
