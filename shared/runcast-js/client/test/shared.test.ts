import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type ConnectionState,
  type LogFilter,
  type RuncastEvent,
  SharedCombined,
  SharedConnection,
  type Tabs,
} from "../src/index.js";
import { TestServer, connected as connectedTo, frame, log as logOf, settle } from "./server.js";
import { type Channel, browser } from "./tabs.js";

const ONE = "0192f000-0000-7000-8000-00007f3a9c2e";

interface Shared {
  readonly state: ConnectionState;
  readonly isLeader: boolean;
  readonly position: number | string | null;
  onEvents(listener: (events: readonly RuncastEvent[]) => void): () => void;
  onState(listener: (state: ConnectionState) => void): () => void;
  setLogs(filter: LogFilter): void;
  retryNow(): void;
  close(): void;
}

interface Kind {
  open: (server: TestServer, tabs: Tabs) => Shared;
  path: string;
  project: string;
  /** The position at a number of that project, as the server writes it. */
  at: (number: number) => string;
  epoch: string;
  /** Where a tab stands that has only been told that the stream began at a head. */
  began: (head: number) => number | string;
}

const KINDS: [string, Kind][] = [
  [
    "a project",
    {
      open: (server, tabs) => new SharedConnection(server.http, "p", "ada", tabs),
      path: "/projects/p/events",
      project: "p",
      at: String,
      epoch: "e1",
      began: Number,
    },
  ],
  [
    "several projects",
    {
      open: (server, tabs) => new SharedCombined(server.http, "all", "ada", tabs),
      path: "/events",
      project: ONE,
      at: (number) => `7f3a9c2e:${number}`,
      epoch: `${ONE}:e1`,
      began: (head) => `${ONE}:${head}`,
    },
  ],
];

let server: TestServer;
let tabs: Tabs;
let opened: Shared[];
let channels: Channel[];

beforeEach(() => {
  vi.useFakeTimers();
  server = new TestServer();
  opened = [];
  ({ tabs, channels } = browser());
});
afterEach(() => {
  for (const tab of opened) tab.close();
  vi.useRealTimers();
});

describe.each(KINDS)("A connection to %s that tabs share", (_, kind) => {
  const EVENTS = kind.path;
  const connected = (overrides: object = {}) => connectedTo({ project_id: kind.project, ...overrides });
  const log = (number: number, run: string, line: number) => logOf(kind.at(number), run, line);

  function openTab() {
    const connection = kind.open(server, tabs);
    opened.push(connection);
    const events: RuncastEvent[] = [];
    connection.onEvents((batch) => events.push(...batch));
    return { connection, events };
  }

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
    expect(server.last(EVENTS).headers["Last-Event-ID"]).toBe(kind.at(11));
    expect(server.last(EVENTS).url.searchParams.get("epoch")).toBe(kind.epoch);
  });

  it("tells a tab that comes later how the connection is", async () => {
    openTab();
    await settle();
    server.last(EVENTS).stream(connected({ head: 77 }));
    await settle();
    const late = openTab();
    await settle();
    expect(late.connection.state).toEqual({ status: "live", connectionId: "c1" });
    expect(late.connection.position).toBe(kind.began(77));
  });

  it.each([
    ["that its channel kept for it", true, "agent:log 12"],
    ["by a gap where nothing was kept", false, "gap 12"],
  ])("replaces a leader that is stopped, which learns what it missed %s", async (_how, hasKept, missed) => {
    const first = openTab();
    await settle();
    const second = openTab();
    server.last(EVENTS).stream(connected() + log(11, "r", 1));
    await settle();
    channels[0]!.isStopped = true;
    await vi.advanceTimersByTimeAsync(6_000);
    expect(second.connection.isLeader).toBe(true);
    expect(server.last(EVENTS).headers["Last-Event-ID"]).toBe(kind.at(11));
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
    expect(server.last(EVENTS).headers["Last-Event-ID"]).toBe(kind.at(11));
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

describe("SharedCombined", () => {
  const TWO = "0192f000-0000-7000-8000-00000b12d4aa";
  const begin = (project: string, head: number, projects: number) =>
    connectedTo({ project_id: project, head, projects });

  function openTab() {
    const connection = new SharedCombined(server.http, "all", "ada", tabs);
    opened.push(connection);
    const events: string[] = [];
    connection.onEvents((batch) => {
      for (const { id, type, projectId } of batch) {
        if (id !== null) events.push(`${type} ${projectId === ONE ? "one" : "two"} ${id}`);
      }
    });
    return { connection, events };
  }

  it("tells a tab that was stopped what it missed of each project", async () => {
    const first = openTab();
    await settle();
    const second = openTab();
    server.last("/events").stream(begin(ONE, 10, 2) + begin(TWO, 20, 2));
    await settle();
    server.last("/events").push(frame("0b12d4aa:20,7f3a9c2e:11", "x:a", {}));
    await settle();
    channels[0]!.isStopped = true;
    await vi.advanceTimersByTimeAsync(6_000);
    const again = server.last("/events");
    expect(again.headers["Last-Event-ID"]).toBe("0b12d4aa:20,7f3a9c2e:11");
    expect(again.url.searchParams.get("epoch")).toBe(`${ONE}:e1,${TWO}:e1`);
    again.stream(begin(ONE, 11, 2) + begin(TWO, 20, 2));
    again.push(frame("7f3a9c2e:11,0b12d4aa:23", "x:b", {}));
    await settle();
    channels[0]!.wake(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(first.events).toEqual(["x:a one 11", "gap two 23"]);
    expect(second.events).toEqual(["x:a one 11", "x:b two 23"]);
    expect([...first.connection.live]).toEqual([ONE, TWO]);
  });

  it("says which projects are followed, to tabs that come later too, and looks for others when asked", async () => {
    openTab();
    await settle();
    server.last("/events").stream(begin(ONE, 10, 2));
    await settle();
    const second = openTab();
    await settle();
    expect([second.connection.state.status, second.connection.live.size]).toEqual(["connecting", 0]);
    server.last("/events").push(begin(TWO, 20, 2) + ": hb\nid: 7f3a9c2e:10,0b12d4aa:20\n\n");
    await settle();
    expect([...second.connection.live]).toEqual([ONE, TWO]);
    second.connection.reopen();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(server.count("/events")).toBe(2);
    expect(server.last("/events").headers["Last-Event-ID"]).toBe("7f3a9c2e:10,0b12d4aa:20");
    server.last("/events").stream(begin(TWO, 20, 1));
    await settle();
    expect([...second.connection.live]).toEqual([TWO]);
  });
});
