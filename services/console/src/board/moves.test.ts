import type { Subtask } from "@runcast/client";
import { describe, expect, it } from "vitest";
import { subtasksOf } from "./NewTask";
import { COLUMNS, moveInto, neighbour } from "./moves";

const subtask = (status: Subtask["status"]) => ({ status }) as Subtask;
const column = (id: string) => COLUMNS.find((each) => each.id === id) ?? COLUMNS[0]!;

describe("moves", () => {
  it("knows which step leads into a column", () => {
    expect(moveInto(subtask("PENDING"), column("progress"))).toBe("start");
    expect(moveInto(subtask("IN_PROGRESS"), column("stopped"))).toBe("fail");
    expect(moveInto(subtask("COMPLETED"), column("done"))).toBe("merge");
    expect(moveInto(subtask("BLOCKED"), column("progress"))).toBeNull();
    expect(moveInto(subtask("MERGED"), column("pending"))).toBeNull();
  });

  it("finds the next column that a step leads into", () => {
    expect(neighbour(subtask("IN_PROGRESS"), 1)?.id).toBe("review");
    expect(neighbour(subtask("FAILED"), -1)?.id).toBe("pending");
    expect(neighbour(subtask("BLOCKED"), -1)).toBeNull();
  });
});

it("reads subtasks with keys and what they wait for", () => {
  expect(subtasksOf("api: Write the API\n\nui: Build the page < api, db\nJust a title")).toEqual([
    { title: "Write the API", key: "api" },
    { title: "Build the page", key: "ui", depends_on: ["api", "db"] },
    { title: "Just a title" },
  ]);
});
