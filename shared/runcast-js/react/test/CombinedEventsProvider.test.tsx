import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, renderHook } from "@testing-library/react";
import { type FollowedProjects, RuncastClient } from "@runcast/client";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  CombinedEventsProvider,
  ProjectEventsProvider,
  useActiveRuns,
  useCombinedEvents,
  useProjectEvents,
} from "../src/index.js";
import { TestServer, connected, frame } from "../../client/test/server.js";

const AT = "2026-01-31T10:00:00.000Z";
const run = (id: string, project: string) => ({ id, project_id: project, status: "running", steps: [], step_timestamps: {} });
const begin = (project: string, head: number, active_runs: object[], more: object = {}) =>
  connected({ project_id: project, head, active_runs, projects: 2, ...more });

const advance = (milliseconds = 0) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

function opened(projects: FollowedProjects = "all") {
  const server = new TestServer();
  const client = Object.assign(new RuncastClient(), { http: server.http });
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={queries}>
      <CombinedEventsProvider projects={projects} client={client} logs="all" share={false}>
        {children}
      </CombinedEventsProvider>
    </QueryClientProvider>
  );
  const push = async (text: string) => {
    await act(async () => server.last("/events").push(text));
    await advance();
  };
  return { server, client, wrapper, push };
}

function Project({ id }: { id: string }) {
  const { isConnected } = useProjectEvents();
  const runs = useActiveRuns({ enabled: isConnected });
  return <p>{`${id}: ${isConnected ? "live" : "not live"}, ${runs.data?.map((each) => each.id).join() ?? "unread"}`}</p>;
}

describe("CombinedEventsProvider", () => {
  it("keeps each project inside live by one stream, and reads nothing that the stream said", async () => {
    const { server, client, wrapper, push } = opened();
    const Projects = () =>
      [...useCombinedEvents().live].map((id) => (
        <ProjectEventsProvider key={id} projectId={id} client={client}>
          <Project id={id} />
        </ProjectEventsProvider>
      ));
    const { container } = render(<Projects />, { wrapper });
    const shown = () => [...container.querySelectorAll("p")].map(({ textContent }) => textContent);
    await advance();
    expect(server.last("/events").url.searchParams.get("projects")).toBe("all");
    expect(server.last("/events").url.searchParams.get("subscribe_logs")).toBe("all");
    await act(async () => server.last("/events").stream(begin("p", 10, [run("r", "p")]) + begin("q", 7, [])));
    await advance();
    expect(shown()).toEqual(["p: live, r", "q: live, "]);
    await push(frame("p:10,q:8", "run:created", { run_id: "s", run: run("s", "q") }));
    await push(frame("q:8,p:11", "run:status_changed", { run_id: "r", new_status: "completed", at: AT }));
    expect(shown()).toEqual(["p: live, ", "q: live, s"]);
    expect(server.exchanges.map(({ path }) => path)).toEqual(["/events"]);
    await push(frame(null, "bye", { project_id: "q", reason: "revoked" }));
    expect(shown()).toEqual(["p: live, "]);
  });

  it("has the runs read where the stream doesn't say all of them, and of one project after its gap", async () => {
    const { server, client, wrapper, push } = opened(["p", "q"]);
    const Projects = () =>
      ["p", "q"].map((id) => (
        <ProjectEventsProvider key={id} projectId={id} client={client}>
          <Project id={id} />
        </ProjectEventsProvider>
      ));
    render(<Projects />, { wrapper });
    await advance();
    expect(server.last("/events").url.searchParams.get("projects")).toBe("p,q");
    const partly = { active_runs_complete: false };
    await act(async () => server.last("/events").stream(begin("p", 10, [], partly) + begin("q", 7, [])));
    await advance();
    expect(server.count("/projects/p/active-runs")).toBe(1);
    expect(server.count("/projects/q/active-runs")).toBe(0);
    await push(frame("p:10,q:9", "gap", { from: 8, to: 9, reason: "lag", refetch: [], project_id: "q" }));
    expect(server.count("/projects/p/active-runs")).toBe(1);
    expect(server.count("/projects/q/active-runs")).toBe(1);
  });

  it("opens nothing for no projects", async () => {
    const { server, wrapper } = opened([]);
    renderHook(() => useCombinedEvents(), { wrapper });
    await advance();
    expect(server.exchanges).toEqual([]);
  });
});
