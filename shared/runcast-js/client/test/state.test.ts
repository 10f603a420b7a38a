import { describe, expect, it } from "vitest";
import {
  type Run,
  type RunList,
  type RuncastEvent,
  type Subtask,
  type Task,
  applyToActiveRuns,
  applyToRun,
  applyToRunList,
  applyToTasks,
} from "../src/index.js";

const AT = "2026-01-31T10:00:00.000Z";

function run(overrides: Partial<Run> = {}): Run {
  return {
    id: "r",
    number: 1,
    key: null,
    project_id: "p",
    name: null,
    labels: {},
    parent_run_id: null,
    attention: null,
    usage: null,
    budget: null,
    aliases: [],
    phase: "phase1",
    current_step: "idea",
    steps: ["idea", "topic_critic", "outline"],
    status: "queued",
    agent_type: null,
    agent_name: null,
    task_id: null,
    attempt: 1,
    retry_of: null,
    error: null,
    will_retry: null,
    result: null,
    pr_url: null,
    input: null,
    metadata: {},
    metrics: {},
    progress: null,
    liveness: "ok",
    last_line_number: 0,
    step_timestamps: {},
    created_at: AT,
    started_at: null,
    finished_at: null,
    updated_at: AT,
    ...overrides,
  };
}
const event = (type: string, data: object = {}): RuncastEvent => ({
  id: 1,
  type,
  data: { run_id: "r", at: AT, ...data },
});

describe("applyToRun", () => {
  it("follows status, and notes when the run started and finished", () => {
    const running = applyToRun(run(), event("run:status_changed", { new_status: "running" }));
    expect(running).toMatchObject({ status: "running", started_at: AT, finished_at: null });
    const done = applyToRun(running, event("run:status_changed", { new_status: "completed" }));
    expect(done).toMatchObject({ status: "completed", finished_at: AT });
  });

  it("keeps the first time of a step", () => {
    const first = applyToRun(run(), event("run:step_changed", { new_step: "outline" }));
    const again = applyToRun(first, {
      ...event("run:step_changed", { new_step: "outline" }),
      data: { run_id: "r", new_step: "outline", at: "2027-01-01T00:00:00Z" },
    });
    expect(again.step_timestamps).toEqual({ outline: AT });
    expect(again.current_step).toBe("outline");
  });

  it("follows progress, liveness, other fields and the log's length", () => {
    const events = [
      event("run:progress", { stage: "spec", message: "half", percent: 50 }),
      event("run:liveness_changed", { new_liveness: "stalled" }),
      event("run:updated", { changed: { name: "a name" } }),
      event("agent:log", { line_number: 7 }),
      event("agent:log", { line_number: 6 }),
    ];
    expect(events.reduce(applyToRun, run())).toMatchObject({
      progress: { stage: "spec", message: "half", percent: 50 },
      liveness: "stalled",
      name: "a name",
      last_line_number: 7,
    });
  });

  it("gives the same object when nothing changes", () => {
    const held = run();
    expect(applyToRun(held, event("run:status_changed", { run_id: "other" }))).toBe(held);
    expect(applyToRun(held, event("x:own"))).toBe(held);
  });
});

describe("applyToRunList", () => {
  const list = (query: RunList["query"], runs: Run[] = []): RunList => ({
    query,
    runs,
    total: runs.length,
    nextCursor: null,
  });

  it("puts a created run first, once", () => {
    const created = event("run:created", { run: run() });
    const next = applyToRunList(list({}, [run({ id: "old" })]), created);
    expect(next?.runs.map(({ id }) => id)).toEqual(["r", "old"]);
    expect(next?.total).toBe(2);
    expect(next && applyToRunList(next, created)).toBe(next);
  });

  it("leaves out what no longer comes under its filter", () => {
    const ended = event("run:status_changed", { new_status: "failed" });
    const next = applyToRunList(list({ status: "running" }, [run({ status: "running" })]), ended);
    expect(next).toMatchObject({ runs: [], total: 0 });
  });

  it("takes a created run into a search that finds it", () => {
    const created = event("run:created", { run: run({ name: "Sprite Painter", agent_name: "Coder" }) });
    expect(applyToRunList(list({ q: "CODER paint" }), created)?.total).toBe(1);
    const other = list({ q: "coder tuner" });
    expect(applyToRunList(other, created)).toBe(other);
  });

  it("asks for a page again when a run comes under its filter", () => {
    const started = event("run:status_changed", { new_status: "running" });
    expect(applyToRunList(list({ status: "running" }), started)).toBeNull();
    expect(applyToRunList(list({ key: "x" }), event("run:created", { run: run() }))).toBeNull();
  });

  it("counts a run that leaves the filter on a page that isn't loaded", () => {
    const first: RunList = { query: { status: "running" }, runs: [run({ id: "x" })], total: 900, nextCursor: "c" };
    const ended = event("run:status_changed", { old_status: "running", new_status: "completed" });
    expect(applyToRunList(first, ended)?.total).toBe(899);
    const never = event("run:status_changed", { old_status: "queued", new_status: "cancelled" });
    expect(applyToRunList(first, never)).toBe(first);
    expect(applyToRunList({ ...first, query: { status: "running", q: "x" } }, ended)).toBeNull();
  });

  it("counts no run out of a list by status and more: only the server knows whether it was in it", () => {
    const page = (query: object): RunList => ({
      query: { status: "running", ...query },
      runs: [run({ id: "x" })],
      total: 3,
      nextCursor: "c",
    });
    const ended = event("run:status_changed", { old_status: "running", new_status: "completed" });
    for (const more of [{ task_id: "t" }, { key: "k" }, { label: ["a:b"] }]) {
      expect(applyToRunList(page(more), ended)).toBeNull();
      const never = event("run:status_changed", { old_status: "queued", new_status: "cancelled" });
      expect(applyToRunList(page(more), never)).toMatchObject({ total: 3 });
    }
    // What isn't asked for is no filter: the first page names its cursor too.
    for (const none of [{ cursor: null, limit: 200 }, { q: "", key: undefined }]) {
      expect(applyToRunList(page(none), ended)?.total).toBe(2);
    }
  });

  it("follows what a search finds as runs change", () => {
    const named = event("run:updated", { changed: { name: "Sprite painter" } });
    expect(applyToRunList(list({ q: "paint" }), named)).toBeNull();
    const other = list({ q: "tuner" });
    expect(applyToRunList(other, named)).toBe(other);
    expect(applyToRunList(list({ q: "outline" }), event("run:step_changed", { new_step: "outline" }))).toBeNull();
    const found = list({ q: "idea" }, [run()]);
    const moved = applyToRunList(found, event("run:step_changed", { new_step: "outline" }));
    expect(moved).toMatchObject({ runs: [], total: 0 });
  });

  it("does not put new runs on a later page", () => {
    const later = list({ cursor: "c" });
    expect(applyToRunList(later, event("run:created", { run: run() }))).toBe(later);
  });
});

describe("applyToTasks", () => {
  const subtask = (id: string, position: number): Subtask =>
    ({ id, task_id: "t1", title: id, position, status: "PENDING" }) as Subtask;
  const task = (id: string, position: number, subtasks: Subtask[] = []): Task =>
    ({ id, title: id, position, status: "ACTIVE", subtasks }) as Task;
  const held = [task("t1", 1, [subtask("a", 1), subtask("b", 2)]), task("t2", 2)];

  it("moves what gets another position, and changes its other fields", () => {
    const changed = { changed: { position: 3, title: "T" } };
    const next = applyToTasks(held, event("task:updated", { task_id: "t1", ...changed }));
    expect(next?.map(({ title }) => title)).toEqual(["t2", "T"]);
    const ids = { task_id: "t1", subtask_id: "a" };
    const [first] = applyToTasks(held, event("subtask:updated", { ...ids, ...changed })) ?? [];
    expect(first?.subtasks.map(({ title }) => title)).toEqual(["b", "T"]);
  });

  it("lets go what was deleted", () => {
    const next = applyToTasks(held, event("task:deleted", { task_id: "t2", subtask_ids: [] }));
    expect(next?.map(({ id }) => id)).toEqual(["t1"]);
    const ids = { task_id: "t1", subtask_id: "a" };
    const [first] = applyToTasks(held, event("subtask:deleted", ids)) ?? [];
    expect(first?.subtasks.map(({ id }) => id)).toEqual(["b"]);
  });
});

describe("applyToActiveRuns", () => {
  it("lets a run go when it ends", () => {
    const ended = event("run:status_changed", { new_status: "failed" });
    expect(applyToActiveRuns([run({ status: "running" })], ended)).toEqual([]);
  });

  it("asks for fresh state when a run becomes active that isn't held", () => {
    expect(applyToActiveRuns([], event("agent:started"))).toBeNull();
  });

  it("does not take a run for active that waits for its first start", () => {
    const created = event("run:created", { run: run({ status: "awaiting_feedback" }) });
    expect(applyToActiveRuns([], created)).toEqual([]);
  });
});
