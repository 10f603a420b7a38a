import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CombinedConnection, type CombinedOptions, CombinedParts, type ProjectEvent } from "../src/index.js";
import { TestServer, settle } from "./server.js";

const ONE = "0192f000-0000-7000-8000-00007f3a9c2e";
const TWO = "0192f000-0000-7000-8000-00000b12d4aa";

const frame = (type: string, data: object, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const connected = (project: string, epoch = "7"): string =>
  frame("connected", { connection_id: "c1", project_id: project, epoch, head: 5, heartbeat_s: 30 });

function open(options: CombinedOptions = {}) {
  const server = new TestServer();
  const connection = new CombinedConnection(server.http, [ONE, TWO], { random: () => 1, ...options });
  const events: ProjectEvent[] = [];
  connection.onEvents((batch) => events.push(...batch));
  return { server, connection, events };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("CombinedConnection", () => {
  it("names the projects, and says whose each event is", async () => {
    const { server, connection, events } = open({ logs: "all" });
    await settle();
    const request = server.last("/events");
    expect(request.url.searchParams.get("projects")).toBe(`${ONE},${TWO}`);
    expect(request.url.searchParams.get("subscribe_logs")).toBe("all");
    request.stream(connected(ONE) + connected(TWO, "8"));
    request.push(frame("x:a", {}, "0b12d4aa:3,7f3a9c2e:6") + frame("x:b", {}, `7f3a9c2e:6,${TWO}:4`));
    await settle();
    expect(connection.state).toEqual({ status: "live", connectionId: "c1" });
    expect(events.slice(2).map(({ id, projectId }) => [id, projectId])).toEqual([
      [6, ONE],
      [4, TWO],
    ]);
  });

  it("resumes after its whole position, which heartbeats move too", async () => {
    const { server, connection } = open();
    await settle();
    server.last("/events").stream(connected(ONE) + connected(TWO, "8") + ": hb\nid: 7f3a9c2e:6,0b12d4aa:9\n\n");
    await settle();
    expect(connection.position).toBe("7f3a9c2e:6,0b12d4aa:9");
    server.last("/events").end();
    await settle();
    await vi.advanceTimersByTimeAsync(1000);
    const request = server.last("/events");
    expect(request.headers["Last-Event-ID"]).toBe("7f3a9c2e:6,0b12d4aa:9");
    expect(request.url.searchParams.get("epoch")).toBe(`${ONE}:7,${TWO}:8`);
  });

  it("goes on when one project ends, and ends with the stream", async () => {
    const { server, connection, events } = open({ lastEventId: { demo: 3, tools: 0 } });
    await settle();
    expect(server.last("/events").headers["Last-Event-ID"]).toBe("demo:3,tools:0");
    server.last("/events").stream(connected(ONE) + frame("bye", { project_id: ONE, reason: "revoked" }));
    await settle();
    expect(connection.state.status).toBe("live");
    expect(events.at(-1)).toMatchObject({ type: "bye", projectId: ONE });
    server.last("/events").push(frame("bye", { reason: "revoked" }));
    await settle();
    expect(connection.state).toMatchObject({ status: "closed", reason: "revoked" });
  });

  it("is live once all projects have begun, and resumes in those that had when it breaks off before", async () => {
    const { server, connection } = open();
    await settle();
    const begun = frame("connected", { connection_id: "c1", project_id: ONE, epoch: "7", head: 5, projects: 2, heartbeat_s: 30 });
    server.last("/events").stream(begun);
    await settle();
    expect([connection.state.status, connection.position]).toEqual(["connecting", `${ONE}:5`]);
    server.last("/events").end();
    await settle();
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.last("/events").headers["Last-Event-ID"]).toBe(`${ONE}:5`);
    server.last("/events").stream(frame("bye", { project_id: "gone", reason: "revoked" }) + begun);
    await settle();
    expect(connection.state.status).toBe("connecting");
    server.last("/events").push(frame("bye", { project_id: TWO, reason: "deleted" }));
    await settle();
    expect([connection.state.status, [...connection.live]]).toEqual(["live", [ONE]]);
  });

  it("asks again for a project that could not be read", async () => {
    const { server, connection } = open();
    await settle();
    server.last("/events").stream(connected(ONE) + connected(TWO, "8") + ": hb\nid: 7f3a9c2e:6,0b12d4aa:9\n\n");
    await settle();
    server.last("/events").push(frame("bye", { project_id: TWO, reason: "shutdown" }));
    await settle();
    expect([...connection.live]).toEqual([ONE]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(server.count("/events")).toBe(2);
    expect(server.last("/events").headers["Last-Event-ID"]).toBe("7f3a9c2e:6,0b12d4aa:9");
  });

  it("changes the filter of the open connection", async () => {
    const { server, connection } = open();
    await settle();
    server.last("/events").stream(connected(ONE));
    await settle();
    connection.setLogs(["r"]);
    await settle();
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: ["r"] });
  });
});

describe("CombinedParts", () => {
  it("is a connection for each project: its events, its state, its end, and the lines that any wants", async () => {
    const { server, connection } = open();
    const parts = new CombinedParts(connection);
    const [one, two] = [parts.part(ONE), parts.part(TWO)];
    const told: string[] = [];
    one.onEvents((batch) => told.push(...batch.map(({ type, id }) => `one ${type} ${id}`)));
    two.onEvents((batch) => told.push(...batch.map(({ type, id }) => `two ${type} ${id}`)));
    two.onState((state) => told.push(`two is ${state.status === "closed" ? state.reason : state.status}`));
    one.setLogs(["a"]);
    two.setLogs(["b"]);
    await settle();
    expect(server.last("/events").url.searchParams.get("subscribe_logs")).toBe("a,b");
    server.last("/events").stream(connected(ONE) + connected(TWO, "8"));
    await settle();
    server.last("/events").push(frame("x:a", {}, "0b12d4aa:5,7f3a9c2e:6") + frame("x:b", {}, "7f3a9c2e:6,0b12d4aa:7"));
    await settle();
    expect([one.position, two.position]).toEqual([6, 7]);
    server.last("/events").push(frame("bye", { project_id: TWO, reason: "deleted" }));
    await settle();
    expect(told).toEqual([
      "one connected null",
      "two connected null",
      "two is live",
      "one x:a 6",
      "two x:b 7",
      "two bye null",
      "two is deleted",
    ]);
    expect([one.state.status, parts.part(TWO).state.status]).toEqual(["live", "closed"]);
    two.close();
    await settle();
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: ["a"] });
  });
});
