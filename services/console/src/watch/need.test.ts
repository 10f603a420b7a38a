import type { Run } from "@runcast/client";
import { describe, expect, it } from "vitest";
import { byNeed } from "./need";

const run = (id: string, change: Partial<Run>): Run =>
  ({ id, status: "running", liveness: "ok", attention: null, ...change }) as Run;

describe("byNeed", () => {
  it("puts who waits first, then failed, unresponsive, working and ended", () => {
    const runs = [
      run("done", { status: "completed" }),
      run("working", {}),
      run("lost", { liveness: "lost" }),
      run("failed", { status: "failed" }),
      run("waiting", { status: "awaiting_feedback" }),
      run("also working", {}),
      run("asking", { attention: { kind: "permission" } as unknown as Run["attention"] }),
    ];
    expect(byNeed(runs).map(({ id }) => id)).toEqual([
      "waiting",
      "asking",
      "failed",
      "lost",
      "working",
      "also working",
      "done",
    ]);
  });
});
