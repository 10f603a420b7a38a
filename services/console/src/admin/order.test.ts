import { expect, it } from "vitest";
import { sickFirst } from "./order";
import type { Worker } from "./types";

const worker = (id: string, more: Partial<Worker> = {}): Worker =>
  ({ worker_id: id, status: "RUNNING", circuit_open: false, is_stale: false, ...more }) as Worker;

it("shows the sick first and the stopped last", () => {
  const workers = [
    worker("stopped", { status: "STOPPED", is_stale: true }),
    worker("b"),
    worker("a"),
    worker("degraded", { status: "DEGRADED" }),
    worker("stale", { is_stale: true }),
    worker("open", { circuit_open: true }),
  ];
  expect(sickFirst(workers).map(({ worker_id: id }) => id)).toEqual(["open", "stale", "degraded", "a", "b", "stopped"]);
});
