import { expect, it } from "vitest";
import { connectionOf } from "./ConnectionsPage";

it.each([
  [["r1", "r2"], ["r1", "r2"]],
  ["all", "all"],
  [null, []],
  [undefined, []],
])("takes the runs that a stream asks for as a list: %j", (told, logs) => {
  expect(connectionOf({ connection_id: "c", subscribe_logs: told }).logs).toEqual(logs);
});
