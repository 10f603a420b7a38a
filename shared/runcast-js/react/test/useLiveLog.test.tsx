import { act, cleanup, render, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { useLiveLog } from "../src/index.js";
import { connected, frame, log } from "../../client/test/server.js";
import { EVENTS, json, page } from "./page.js";

const run = (id: string) => ({ id, project_id: "p", status: "running" });
const entry = (n: number, message = `line ${n}`) => ({
  line_number: n,
  message,
  ts: "2026-01-31T10:00:00.000Z",
  level: "info",
});
const routes = () => ({
  "/connections/c1": json({}),
  "/runs/r": json(run("r"), 10),
  "/runs/q": json(run("q"), 10),
  "/runs/r/logs": json({ logs: [entry(1), entry(2)] }),
  "/runs/q/logs": json({ logs: [entry(1, "of q")] }),
});
const advance = (milliseconds = 0) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

async function opened(runId: string | null) {
  const parts = page(routes());
  const view = renderHook(({ id }) => useLiveLog(id), {
    wrapper: parts.wrapper,
    initialProps: { id: runId },
  });
  await advance();
  await act(async () => parts.server.last(EVENTS).stream(connected({ head: 10 })));
  await advance(100);
  const push = async (text: string) => {
    await act(async () => parts.server.last(EVENTS).push(text));
    await advance(100);
  };
  const wanted = () => (parts.server.last("/connections/c1").body as { subscribe_logs: string[] }).subscribe_logs;
  return { ...parts, ...view, push, wanted };
}

describe("useLiveLog", () => {
  it("is idle for a null run", async () => {
    const { result, server } = await opened(null);
    expect(result.current).toEqual({ lines: [], isStreaming: false, error: null });
    expect(server.exchanges.map(({ path }) => path)).toEqual([EVENTS]);
  });

  it("gives the lines that there are, then live ones, each once and in order", async () => {
    const { result, push } = await opened("r");
    expect(result.current.lines.map(({ content }) => content)).toEqual(["line 1", "line 2"]);
    await push(log(11, "r", 2) + log(12, "r", 3) + log(13, "other", 9));
    expect(result.current.lines.map(({ lineNumber }) => lineNumber)).toEqual([1, 2, 3]);
    expect(result.current.isStreaming).toBe(true);
    expect(result.current.lines[2]).toMatchObject({
      content: "line 3",
      timestamp: "2026-01-31T10:00:00.000Z",
    });
  });

  it("is no longer streaming when the run has ended", async () => {
    const { result, push } = await opened("r");
    await push(frame(11, "run:status_changed", { run_id: "r", new_status: "completed" }));
    expect(result.current.isStreaming).toBe(false);
    expect(result.current.lines).toHaveLength(2);
  });

  it("subscribes while mounted and unsubscribes when it unmounts", async () => {
    const { server, wrapper } = page(routes());
    const Log = () => <p>{useLiveLog("r").lines.length} lines</p>;
    const view = render(<Log />, { wrapper });
    await advance();
    await act(async () => server.last(EVENTS).stream(connected({ head: 10 })));
    await advance(100);
    expect(server.last(EVENTS).url.searchParams.get("subscribe_logs")).toBe("r");
    expect(view.container.textContent).toBe("2 lines");
    view.rerender(<p>nothing</p>);
    await advance();
    expect(server.last("/connections/c1").body).toEqual({ subscribe_logs: [] });
    expect(server.last(EVENTS).isAborted).toBe(false);
  });

  it("changes its subscription with the run", async () => {
    const { result, rerender, wanted } = await opened("r");
    rerender({ id: "q" });
    await advance(100);
    expect(wanted()).toEqual(["q"]);
    expect(result.current.lines.map(({ content }) => content)).toEqual(["of q"]);
    rerender({ id: null as unknown as string });
    await advance(100);
    expect(result.current.lines).toEqual([]);
    expect(wanted()).toEqual([]);
  });

  it("keeps its lines when the connection is lost, and says why reading failed", async () => {
    const parts = await opened("r");
    await act(async () => parts.server.last(EVENTS).end());
    await advance();
    expect(parts.result.current).toMatchObject({ isStreaming: false });
    expect(parts.result.current.lines).toHaveLength(2);

    const broken = page({
      ...routes(),
      "/runs/r/logs": (exchange) => exchange.json({ title: "Postgres is down" }, 503),
    });
    const { result } = renderHook(() => useLiveLog("r"), { wrapper: broken.wrapper });
    await advance(100);
    expect(result.current.error?.message).toContain("Postgres is down");
  });
});
