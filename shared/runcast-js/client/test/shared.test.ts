import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RuncastEvent, SharedConnection, type Tabs } from "../src/index.js";
import { TestServer, connected, log, settle } from "./server.js";

const EVENTS = "/projects/p/events";

/** Locks as a browser has them: first come, first served, released when the holder is done. */
class Locks {
  readonly #queues = new Map<string, (() => void)[]>();

  request = (name: string, options: LockOptions, granted: () => Promise<void>): Promise<void> => {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise((resolve) => {
      const turn = (): void => {
        void granted().then(() => {
          queue.shift();
          queue[0]?.();
          resolve();
        });
      };
      options.signal?.addEventListener("abort", () => {
        const at = queue.indexOf(turn);
        if (at > 0) queue.splice(at, 1);
      });
      if (queue.push(turn) === 1) queueMicrotask(turn);
    });
  };
}

class Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(private readonly peers: Set<Channel>) {
    peers.add(this);
  }
  postMessage(data: unknown): void {
    const copy = structuredClone(data);
    for (const peer of this.peers) {
      if (peer !== this) queueMicrotask(() => peer.onmessage?.({ data: copy }));
    }
  }
  close(): void {
    this.peers.delete(this);
  }
}

let server: TestServer;
let tabs: Tabs;
let opened: SharedConnection[];

beforeEach(() => {
  server = new TestServer();
  const peers = new Set<Channel>();
  opened = [];
  tabs = {
    locks: new Locks() as unknown as Tabs["locks"],
    channel: () => new Channel(peers) as unknown as BroadcastChannel,
  };
});
afterEach(() => {
  for (const tab of opened) tab.close();
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
});
