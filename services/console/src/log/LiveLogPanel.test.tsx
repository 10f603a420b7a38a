import * as Tooltip from "@radix-ui/react-tooltip";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import {
  RouterProvider,
  createMemoryHistory,
  createRootRoute,
  createRouter,
} from "@tanstack/react-router";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Toasts } from "../design/Toasts";
import { connected, frame, log } from "../../../../shared/runcast-js/client/test/server";
import { EVENTS, type Routes, json, page } from "../../../../shared/runcast-js/react/test/page";
import { LiveLogPanel, type LiveLogPanelProps } from "./LiveLogPanel";

const run = (status = "running", error: string | null = null) => ({
  id: "r",
  project_id: "p",
  status,
  error,
  created_at: "2026-01-31T10:00:00.000Z",
});
const entry = (n: number, message = `line ${n}`) => ({
  line_number: n,
  message,
  ts: "2026-01-31T10:00:00.000Z",
  level: "info",
});
const logs = (...entries: object[]) => json({ logs: entries });
const advance = (milliseconds = 0) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

class NoResizeObserver {
  observe(): void {
    // Nothing has a size here.
  }
  disconnect(): void {
    // Nothing was observed.
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("ResizeObserver", NoResizeObserver);
  vi.stubGlobal("scrollTo", () => undefined);
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(400);
});
afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

async function opened(routes: Routes = {}, props: Partial<LiveLogPanelProps> = {}) {
  const { server, wrapper: Wrapper } = page({
    "/connections/c1": json({}),
    "/runs/r": json(run(), 10),
    "/runs/r/logs": logs(entry(1), entry(2, "[10:42:07] calling a tool")),
    ...routes,
  });
  const onClose = vi.fn();
  const rootRoute = createRootRoute({
    component: () => (
      <LiveLogPanel open runId="r" title="Coder" agentType="WORKER" onClose={onClose} {...props} />
    ),
  });
  const router = createRouter({ routeTree: rootRoute, history: createMemoryHistory() });
  render(
    <Wrapper>
      <Tooltip.Provider>
        <Toasts>
          {/* The test's router has one route of its own. */}
          <RouterProvider router={router as never} />
        </Toasts>
      </Tooltip.Provider>
    </Wrapper>,
  );
  await advance();
  await act(async () => server.last(EVENTS).stream(connected({ head: 10 })));
  await advance(300);
  const push = async (text: string) => {
    await act(async () => server.last(EVENTS).push(text));
    await advance(600);
  };
  return { server, push, onClose };
}

const shownLines = () =>
  [...document.querySelectorAll(".log-row .log-text")].map((row) => row.textContent);

describe("LiveLogPanel", () => {
  it("shows title, agent type and the lines with their numbers", async () => {
    await opened();
    expect(screen.getByRole("heading", { name: "Coder" })).toBeTruthy();
    expect(screen.getByText("WORKER")).toBeTruthy();
    expect(shownLines()).toEqual(["line 1", "[10:42:07] calling a tool"]);
    expect(document.querySelector("[data-line='2'] .log-number")?.getAttribute("href")).toBe("#L2");
  });

  it("sets a time at the start of a line apart", async () => {
    await opened();
    expect(document.querySelector(".log-stamp")?.textContent).toBe("[10:42:07]");
  });

  it("shows live lines, each once", async () => {
    const { push } = await opened();
    await push(log(11, "r", 2) + log(12, "r", 3, "third"));
    expect(shownLines()).toEqual(["line 1", "[10:42:07] calling a tool", "third"]);
  });

  it("says Streaming while the run is under way", async () => {
    await opened();
    expect(screen.getByTestId("log-state").textContent).toBe("Streaming");
  });

  it("says Complete when the agent has finished", async () => {
    const { push } = await opened();
    const change = { run_id: "r", old_status: "running", new_status: "completed", at: "2026-01-31T10:00:00Z" };
    await push(frame(11, "run:status_changed", change));
    expect(screen.getByTestId("log-state").textContent).toBe("Complete");
    expect(shownLines()).toHaveLength(2);
  });

  it("says why a run failed", async () => {
    await opened({ "/runs/r": json(run("failed", "out of tokens"), 10) });
    expect(screen.getByTestId("log-state").textContent).toBe("Failed");
    expect(screen.getByText("out of tokens")).toBeTruthy();
  });

  it("says Reconnecting when the connection is lost, and keeps its lines", async () => {
    const { server } = await opened();
    await act(async () => server.last(EVENTS).end());
    await advance(200);
    expect(screen.getByTestId("log-state").textContent).toBe("Reconnecting…");
    expect(shownLines()).toHaveLength(2);
  });

  it("says Error, and what it was, when the log can't be read", async () => {
    await opened({ "/runs/r/logs": (exchange) => exchange.json({ title: "Postgres is down" }, 503) });
    expect(screen.getByTestId("log-state").textContent).toBe("Error");
    expect(screen.getByRole("alert").textContent).toContain("The server isn't ready");
  });

  it("waits for the first line in words", async () => {
    await opened({ "/runs/r/logs": logs() });
    expect(screen.getByText("Waiting for the first line…")).toBeTruthy();
  });

  it("says that a queued run has not started", async () => {
    await opened({ "/runs/r/logs": logs(), "/runs/r": json(run("queued"), 10) });
    expect(screen.getByText("The run has not started yet")).toBeTruthy();
  });

  it("copies the log and says so", async () => {
    await opened();
    const writeText = vi.fn(() => Promise.resolve());
    vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText } });
    fireEvent.click(screen.getByRole("button", { name: "Copy the log" }));
    await advance(10);
    expect(writeText).toHaveBeenCalledWith("line 1\n[10:42:07] calling a tool");
    expect(screen.getByText("Copied 2 lines")).toBeTruthy();
  });

  it("stops and starts following by its button", async () => {
    await opened();
    const button = screen.getByRole("button", { name: "Stop following" });
    expect(button.getAttribute("aria-pressed")).toBe("true");
    fireEvent.click(button);
    await advance(50);
    expect(
      screen.getByRole("button", { name: "Follow the newest lines" }).getAttribute("aria-pressed"),
    ).toBe("false");
  });

  it("counts the lines that came since following stopped, and goes to them", async () => {
    const { push } = await opened();
    fireEvent.click(screen.getByRole("button", { name: "Stop following" }));
    await push(log(11, "r", 3) + log(12, "r", 4));
    fireEvent.click(screen.getByRole("button", { name: "2 new lines ↓" }));
    await advance(50);
    expect(screen.getByRole("button", { name: "Stop following" })).toBeTruthy();
  });

  it("closes by its button", async () => {
    const { onClose } = await opened();
    fireEvent.click(screen.getByRole("button", { name: "Close" }));
    expect(onClose).toHaveBeenCalledOnce();
  });

  it("shows nothing while it is closed", async () => {
    await opened({}, { open: false });
    expect(document.querySelector(".log")).toBeNull();
  });
});
