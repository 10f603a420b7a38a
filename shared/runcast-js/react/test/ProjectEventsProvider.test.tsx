import { act, cleanup, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  POLLING_INTERVAL_MS,
  useActiveRuns,
  useAgentRuns,
  useProjectEvents,
  useRun,
  useRuns,
  useSubtasks,
  useTasks,
} from "../src/index.js";
import { connected, frame, log } from "../../client/test/server.js";
import { EVENTS, json, page } from "./page.js";

const AT = "2026-01-31T10:00:00.000Z";
const run = { id: "r", project_id: "p", status: "running", steps: [], step_timestamps: {} };
const subtask = { id: "s", task_id: "t", status: "BLOCKED", title: "sub" };
const RUNS = "/projects/p/runs";
const ended = (id: string) => ({ run_id: id, old_status: "running", new_status: "completed", at: AT });
const task = { id: "t", project_id: "p", status: "PLANNING", title: "task", subtasks: [subtask] };

const advance = (milliseconds = 0) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

beforeEach(() => void vi.useFakeTimers({ shouldAdvanceTime: false }));
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

describe("useProjectEvents", () => {
  it("throws outside a provider", () => {
    const silence = vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect(() => renderHook(() => useProjectEvents())).toThrow(/ProjectEventsProvider/);
    silence.mockRestore();
  });

  it("goes from connecting to live, to reconnecting, to live", async () => {
    const { server, wrapper } = page();
    const { result } = renderHook(() => useProjectEvents(), { wrapper });
    await advance();
    expect(result.current.state.status).toBe("connecting");
    await act(async () => server.last(EVENTS).stream(connected()));
    await advance();
    expect(result.current.isConnected).toBe(true);
    await act(async () => server.last(EVENTS).end());
    await advance();
    expect(result.current.state).toMatchObject({ status: "reconnecting", attempt: 1 });
    expect(result.current.isConnected).toBe(false);
    await advance(1_000);
    await act(async () => server.last(EVENTS).stream(connected({ resumed_from: 10 })));
    await advance();
    expect(result.current.isConnected).toBe(true);
  });

  it("closes the stream and leaves no timer behind when it unmounts", async () => {
    const { server, wrapper } = page();
    const { unmount } = renderHook(() => useProjectEvents(), { wrapper });
    await advance();
    await act(async () => server.last(EVENTS).stream(connected()));
    await advance();
    unmount();
    await advance();
    expect(server.last(EVENTS).isAborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("asks for a run's lines as long as anyone wants them", async () => {
    const { server, wrapper } = page({ "/connections/c1": json({}) });
    const { result } = renderHook(() => useProjectEvents(), { wrapper });
    await advance();
    await act(async () => server.last(EVENTS).stream(connected()));
    await advance();
    const sent = () => server.last("/connections/c1").body;
    result.current.subscribeToLogs("r");
    result.current.subscribeToLogs("r");
    await advance();
    expect(sent()).toEqual({ subscribe_logs: ["r"] });
    result.current.unsubscribeFromLogs("r");
    await advance();
    expect(sent()).toEqual({ subscribe_logs: ["r"] });
    result.current.unsubscribeFromLogs("r");
    await advance();
    expect(sent()).toEqual({ subscribe_logs: [] });
  });
});

describe("caches", () => {
  async function live<T>(hook: () => T, routes: Parameters<typeof page>[0]) {
    const opened = page(routes);
    const view = renderHook(hook, { wrapper: opened.wrapper });
    await advance();
    await act(async () => opened.server.last(EVENTS).stream(connected({ head: 10 })));
    await advance();
    const push = async (text: string) => {
      await act(async () => opened.server.last(EVENTS).push(text));
      await advance();
    };
    return { ...opened, ...view, push };
  }

  it("task:status_changed updates ['tasks', projectId]", async () => {
    const { result, push, server, queries } = await live(() => useTasks(), {
      "/projects/p/tasks": json({ tasks: [task] }, 10),
    });
    await push(frame(11, "task:status_changed", { task_id: "t", new_status: "ACTIVE" }));
    expect(result.current.data?.[0]?.status).toBe("ACTIVE");
    expect(queries.getQueryState(["tasks", "p"])).toBeDefined();
    expect(server.count("/projects/p/tasks")).toBe(1);
  });

  it("reads tasks again when one was created", async () => {
    const { push, server } = await live(() => useTasks(), {
      "/projects/p/tasks": json({ tasks: [task] }, 10),
    });
    await push(frame(11, "task:status_changed", { task_id: "new", old_status: null }));
    expect(server.count("/projects/p/tasks")).toBe(2);
  });

  it("subtask:status_changed and subtask:unblocked update ['subtasks', taskId]", async () => {
    const { result, push } = await live(() => useSubtasks("t"), { "/tasks/t": json(task, 10) });
    await push(frame(11, "subtask:unblocked", { task_id: "t", subtask_id: "s" }));
    expect(result.current.data?.[0]?.status).toBe("PENDING");
    const changed = { ...subtask, status: "IN_PROGRESS" };
    await push(frame(12, "subtask:status_changed", { subtask_id: "s", subtask: changed }));
    expect(result.current.data?.[0]).toMatchObject({ status: "IN_PROGRESS", title: "sub" });
  });

  it.each(["agent:completed", "agent:failed"])("%s invalidates ['agentRuns', …]", async (type) => {
    const { push, server } = await live(() => useAgentRuns("s"), {
      "/projects/p/runs": json({ runs: [run], next_cursor: null }, 10),
    });
    await push(frame(11, type, { run_id: "r", subtask_id: "s" }));
    expect(server.count("/projects/p/runs")).toBe(2);
  });

  it("keeps runs, a run and the active runs at the present", async () => {
    const { result, push, server } = await live(
      () => ({ runs: useRuns(), run: useRun("r"), active: useActiveRuns() }),
      {
        "/projects/p/runs": json({ runs: [run], total: 1, next_cursor: null }, 10),
        "/projects/p/active-runs": json({ runs: [run] }, 10),
        "/runs/r": json(run, 10),
      },
    );
    const changed = { run_id: "r", old_status: "running", new_status: "completed", at: AT };
    await push(frame(11, "run:status_changed", changed));
    expect(result.current.runs.data?.runs[0]?.status).toBe("completed");
    expect(result.current.run.data).toMatchObject({ status: "completed", finished_at: AT });
    expect(result.current.active.data).toEqual([]);
    expect(server.count("/runs/r")).toBe(1);
  });

  it("applies to a late answer the events that came before it, and no older ones", async () => {
    const opened = page();
    const { result } = renderHook(() => useRun("r"), { wrapper: opened.wrapper });
    await advance();
    await act(async () => opened.server.last(EVENTS).stream(connected({ head: 10 })));
    await act(async () =>
      opened.server
        .last(EVENTS)
        .push(
          frame(11, "run:updated", { run_id: "r", changed: { name: "old" } }) +
            frame(12, "run:status_changed", { run_id: "r", new_status: "failed", at: AT }),
        ),
    );
    await advance();
    await act(async () => json({ ...run, name: "fresh" }, 11)(opened.server.last("/runs/r")));
    await advance();
    expect(result.current.data).toMatchObject({ status: "failed", name: "fresh" });
  });

  it("reads once more what an event asked for while a read was under way", async () => {
    const opened = page();
    const { result } = renderHook(() => useRuns({ status: "completed" }), { wrapper: opened.wrapper });
    const answer = (runs: object[], head: number) =>
      act(async () => json({ runs, total: runs.length, next_cursor: null }, head)(opened.server.last(RUNS)));
    await advance();
    await act(async () => opened.server.last(EVENTS).stream(connected({ head: 10 })));
    await act(async () => opened.server.last(EVENTS).push(frame(11, "run:status_changed", ended("r"))));
    await advance();
    await answer([], 10);
    await advance(1_500);
    await answer([{ ...run, status: "completed" }], 11);
    await advance();
    expect(result.current.data?.total).toBe(1);
    await advance(10_000);
    expect(opened.server.count(RUNS)).toBe(2);
  });

  it("reads once more where more events came than are remembered", async () => {
    const opened = page();
    const { result } = renderHook(() => useRun("r"), { wrapper: opened.wrapper });
    await advance();
    await act(async () => opened.server.last(EVENTS).stream(connected({ head: 10 })));
    const others = Array.from({ length: 2_100 }, (_, n) =>
      frame(12 + n, "run:progress", { run_id: "other", percent: 1 }),
    );
    const first = frame(11, "run:status_changed", ended("r"));
    await act(async () => opened.server.last(EVENTS).push(first + others.join("")));
    await advance();
    await act(async () => json(run, 10)(opened.server.last("/runs/r")));
    await advance(1_500);
    await act(async () => json({ ...run, status: "completed" }, 3_000)(opened.server.last("/runs/r")));
    await advance();
    expect(result.current.data?.status).toBe("completed");
  });

  it("does not compare a run of another project with its own events", async () => {
    const { result, push, server } = await live(() => [useRun("r"), useRun("b")] as const, {
      "/runs/r": json(run, 10),
      "/runs/b": json({ ...run, id: "b", project_id: "q" }, 5),
    });
    const progress = Array.from({ length: 2_100 }, (_, n) => frame(11 + n, "run:progress", { run_id: "r", percent: 1 }));
    await push(progress.join(""));
    const read = server.count("/runs/b");
    await act(async () => result.current[1].refetch());
    await advance(5_000);
    expect(server.count("/runs/b")).toBe(read + 1);
  });

  it("reads again only the run whose events were forgotten", async () => {
    const { result, push, server } = await live(() => [useRun("r"), useRun("other")] as const, {
      "/runs/r": json(run, 10),
      "/runs/other": json({ ...run, id: "other" }, 10),
    });
    const progress = Array.from({ length: 2_100 }, (_, n) => frame(11 + n, "run:progress", { run_id: "x", percent: 1 }));
    await push(progress.join(""));
    const read = server.count("/runs/other");
    await act(async () => result.current[0].refetch());
    await advance(1_500);
    expect(server.count("/runs/r")).toBeGreaterThan(1);
    expect(server.count("/runs/other")).toBe(read);
  });

  it("shows a filtered list that is as far as its answers, however fast runs end", async () => {
    let ending = 0;
    const { result, push, server } = await live(() => useRuns({ status: "completed" }), {
      [RUNS]: (exchange) => {
        const runs = Array.from({ length: ending }, (_, n) => ({ ...run, id: `r${n}`, status: "completed" }));
        const body = json({ runs, total: runs.length, next_cursor: null }, 10 + ending);
        setTimeout(() => body(exchange), 400);
      },
    });
    await advance(500);
    for (; ending < 300; ending += 1) {
      await push(frame(11 + ending, "run:status_changed", ended(`r${ending}`)));
      await advance(33);
    }
    expect(result.current.data?.total).toBeGreaterThan(200);
    expect(server.count(RUNS)).toBeLessThan(15);
    await advance(2_500);
    expect(result.current.data?.total).toBe(300);
  });

  it("reads everything again after a gap", async () => {
    const { push, server } = await live(() => useRun("r"), { "/runs/r": json(run, 10) });
    await push(frame(90, "gap", { from: 11, to: 90, reason: "lag", refetch: [] }));
    expect(server.count("/runs/r")).toBe(2);
  });

  it("reads again, when it connects, only what is older than the connection", async () => {
    const { server } = await live(() => ({ run: useRun("r"), active: useActiveRuns() }), {
      "/runs/r": json(run, 9),
      "/projects/p/active-runs": json({ runs: [] }, 10),
    });
    expect(server.count("/runs/r")).toBe(2);
    expect(server.count("/projects/p/active-runs")).toBe(1);
  });

  it("counts a run's lines without reading it again", async () => {
    const { result, push, server } = await live(() => useRun("r"), {
      "/runs/r": json({ ...run, last_line_number: 0 }, 10),
    });
    await push(log(11, "r", 1) + log(12, "r", 2));
    await advance(600);
    expect(result.current.data?.last_line_number).toBe(2);
    expect(server.count("/runs/r")).toBe(1);
  });
});

describe("polling", () => {
  it("is off while live, on after a drop, off after the return", async () => {
    const { server, wrapper } = page({ "/projects/p/tasks": json({ tasks: [task] }, 10) });
    renderHook(() => useTasks(), { wrapper });
    await advance();
    await act(async () => server.last(EVENTS).stream(connected()));
    await advance(4 * POLLING_INTERVAL_MS);
    expect(server.count("/projects/p/tasks")).toBe(1);

    await act(async () => server.last(EVENTS).end());
    await advance();
    for (let i = 0; i < 4; i += 1) {
      await advance(POLLING_INTERVAL_MS);
      await act(async () => server.last(EVENTS).fail("refused"));
    }
    const polled = server.count("/projects/p/tasks");
    expect(polled).toBeGreaterThanOrEqual(4);

    // The next attempt comes after a random time, and would itself be given up after some more.
    const attempts = server.count(EVENTS);
    for (let waited = 0; waited < 60 && server.count(EVENTS) === attempts; waited += 1) {
      await advance(1_000);
    }
    await act(async () => server.last(EVENTS).stream(connected({ head: 10, resumed_from: 10 })));
    await advance();
    const returned = server.count("/projects/p/tasks");
    await advance(20_000);
    expect(server.count("/projects/p/tasks")).toBe(returned);
  });
});
