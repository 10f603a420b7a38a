import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type RuncastEvent, SharedConnection, type Tabs } from "../src/index.js";
import { TestServer, connected, log, settle } from "./server.js";

const EVENTS = "/projects/p/events";

interface Request {
  isHeld: boolean;
  start: () => void;
  steal: () => void;
}

/** Locks as a browser has them: first come, first served, released when the holder is done, or stolen. */
class Locks {
  readonly #queues = new Map<string, Request[]>();

  request = (name: string, options: LockOptions, granted: () => Promise<void>): Promise<void> => {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise((resolve, reject) => {
      const drop = (request: Request): void => {
        const at = queue.indexOf(request);
        if (at !== -1) queue.splice(at, 1);
        if (queue[0] && !queue[0].isHeld) queue[0].start();
      };
      const request: Request = {
        isHeld: false,
        start: () => {
          request.isHeld = true;
          queueMicrotask(() => void granted().then(() => (drop(request), resolve())));
        },
        steal: () => {
          queue.splice(queue.indexOf(request), 1);
          reject(new DOMException("stolen", "AbortError"));
        },
      };
      options.signal?.addEventListener("abort", () => !request.isHeld && drop(request));
      if (options.steal) {
        if (queue[0]?.isHeld) queue[0].steal();
        queue.unshift(request);
        request.start();
      } else if (queue.push(request) === 1) request.start();
    });
  };
}

class Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  /** A tab that is stopped sends nothing; what it is sent waits. */
  isStopped = false;
  #waiting: unknown[] = [];
  sent: unknown[] = [];
  constructor(private readonly peers: Set<Channel>) {
    peers.add(this);
  }
  postMessage(data: unknown): void {
    if (this.isStopped) return;
    const copy: unknown = structuredClone(data);
    this.sent.push(copy);
    for (const peer of this.peers) {
      if (peer === this) continue;
      if (peer.isStopped) peer.#waiting.push(copy);
      else queueMicrotask(() => peer.onmessage?.({ data: copy }));
    }
  }
  wake(hasKept: boolean): void {
    this.isStopped = false;
    const waiting = this.#waiting.splice(0);
    for (const data of hasKept ? waiting : []) queueMicrotask(() => this.onmessage?.({ data }));
  }
  close(): void {
    this.peers.delete(this);
  }
}

let server: TestServer;
let tabs: Tabs;
let opened: SharedConnection[];
let channels: Channel[];

beforeEach(() => {
  vi.useFakeTimers();
  channels = [];
  server = new TestServer();
  const peers = new Set<Channel>();
  opened = [];
  tabs = {
    locks: new Locks() as unknown as Tabs["locks"],
    channel: () => {
      const channel = new Channel(peers);
      channels.push(channel);
      return channel as unknown as BroadcastChannel;
    },
  };
});
afterEach(() => {
  for (const tab of opened) tab.close();
  vi.useRealTimers();
});

function openTab() {
  const connection = new SharedConnection(server.http, "p", "ada", tabs);
  opened.push(connection);
  const events: RuncastEvent[] = [];
  connection.onEvents((batch) => events.push(...batch));
  return { connection, events };
}

describe("SharedConnection", () => {
  it("opens one stream for forty tabs, and each of them gets every event once", async () => {
    const all = Array.from({ length: 40 }, openTab);
    await settle();
    expect(server.count(EVENTS)).toBe(1);
    server.last(EVENTS).stream(connected() + log(11, "r", 1));
    server.last(EVENTS).push(log(12, "r", 2));
    await settle();
    for (const { events, connection } of all) {
      expect(events.filter(({ id }) => id !== null).map(({ id }) => id)).toEqual([11, 12]);
      expect(connection.state.status).toBe("live");
    }
  });

  it("asks for the lines that any tab wants, and no longer for those of a tab that is gone", async () => {
    const first = openTab();
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    first.connection.setLogs(["a"]);
    await settle();
    server.last("/connections/c1").json({});
    const second = openTab();
    second.connection.setLogs(["b"]);
    await settle();
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: ["a", "b"] });
    server.last("/connections/c1").json({});
    await settle();
    second.connection.close();
    await settle();
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: ["a"] });
  });

  it("passes the lead on when the leading tab goes, which resumes where it was itself", async () => {
    const first = openTab();
    await settle();
    const second = openTab();
    server.last(EVENTS).stream(connected() + log(11, "r", 1));
    await settle();
    expect([first.connection.isLeader, second.connection.isLeader]).toEqual([true, false]);
    first.connection.close();
    await settle();
    expect(second.connection.isLeader).toBe(true);
    expect(server.count(EVENTS)).toBe(2);
    expect(server.last(EVENTS).headers["Last-Event-ID"]).toBe("11");
    expect(server.last(EVENTS).url.searchParams.get("epoch")).toBe("e1");
  });

  it("tells a tab that comes later how the connection is", async () => {
    openTab();
    await settle();
    server.last(EVENTS).stream(connected({ head: 77 }));
    await settle();
    const late = openTab();
    await settle();
    expect(late.connection.state).toEqual({ status: "live", connectionId: "c1" });
    expect(late.connection.position).toBe(77);
  });

  it.each([
    ["that its channel kept for it", true, "agent:log 12"],
    ["by a gap where nothing was kept", false, "gap 12"],
  ])("replaces a leader that is stopped, which learns what it missed %s", async (_, hasKept, missed) => {
    const first = openTab();
    await settle();
    const second = openTab();
    server.last(EVENTS).stream(connected() + log(11, "r", 1));
    await settle();
    channels[0]!.isStopped = true;
    await vi.advanceTimersByTimeAsync(6_000);
    expect(second.connection.isLeader).toBe(true);
    expect(server.last(EVENTS).headers["Last-Event-ID"]).toBe("11");
    server.last(EVENTS).stream(connected() + log(12, "r", 2));
    await settle();
    channels[0]!.wake(hasKept);
    await vi.advanceTimersByTimeAsync(2_000);
    expect([first.connection.isLeader, second.connection.isLeader]).toEqual([false, true]);
    expect(first.connection.state.status).toBe("live");
    server.last(EVENTS).push(log(13, "r", 3));
    await settle();
    const seen = first.events.filter(({ id }) => id !== null).map(({ id, type }) => `${type} ${id}`);
    expect(seen).toEqual(["agent:log 11", missed, "agent:log 13"]);
    expect(second.events.filter(({ id }) => id !== null).map(({ id }) => id)).toEqual([11, 12, 13]);
  });

  it("keeps a leader that only has nothing to say", async () => {
    const first = openTab();
    const second = openTab();
    await settle();
    server.last(EVENTS).stream(connected());
    await vi.advanceTimersByTimeAsync(15_000);
    expect([first.connection.isLeader, second.connection.isLeader]).toEqual([true, false]);
    expect(server.count(EVENTS)).toBe(1);
  });

  it("elects one leader without locks, and another one when it goes", async () => {
    tabs.locks = null;
    const all = Array.from({ length: 5 }, openTab);
    await vi.advanceTimersByTimeAsync(8_000);
    expect(all.filter(({ connection }) => connection.isLeader)).toHaveLength(1);
    const leader = all.findIndex(({ connection }) => connection.isLeader);
    server.last(EVENTS).stream(connected() + log(11, "r", 1));
    await settle();
    for (const { events } of all) expect(events.some(({ id }) => id === 11)).toBe(true);
    all[leader]!.connection.close();
    await vi.advanceTimersByTimeAsync(8_000);
    expect(all.filter(({ connection }) => connection.isLeader)).toHaveLength(1);
    expect(server.last(EVENTS).headers["Last-Event-ID"]).toBe("11");
  });

  it("opens a refused connection once more when any tab asks for it", async () => {
    const first = openTab();
    await settle();
    const second = openTab();
    server.last(EVENTS).json({ title: "Unauthorized" }, 401);
    await settle();
    expect(second.connection.state).toMatchObject({ status: "closed", problem: { status: 401 } });
    second.connection.retryNow();
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    expect([first, second].map(({ connection }) => connection.state.status)).toEqual(["live", "live"]);
  });

  it("tells how the connection is to the tab that asks, and to no other", async () => {
    openTab();
    await settle();
    server.last(EVENTS).stream(connected());
    await settle();
    const second = openTab();
    await settle();
    const states: string[] = [];
    second.connection.onState(({ status }) => states.push(status));
    openTab();
    await settle();
    second.connection.setLogs(["a"]);
    await settle();
    expect(states).toEqual([]);
  });
});
