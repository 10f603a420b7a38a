import { expect, it, vi } from "vitest";
import { TestServer, settle } from "../../../../shared/runcast-js/client/test/server";
import { runsSince } from "./runs";

const PATH = "/projects/p/runs";
const SINCE = Date.parse("2026-01-30T00:00:00Z");

it("asks for few members of the runs since a time, page after page", async () => {
  const server = new TestServer();
  const found = runsSince(server.http, "p", SINCE, new AbortController().signal);
  await settle();
  const wanted = server.last(PATH).url.searchParams;
  expect(wanted.get("created_after")).toBe("2026-01-30T00:00:00.000Z");
  expect(wanted.get("fields")?.split(",")).toEqual(expect.arrayContaining(["id", "created_at", "finished_at"]));
  server.last(PATH).json({ runs: [{ id: "2" }], next_cursor: "further" });
  await vi.waitFor(() => expect(server.last(PATH).url.searchParams.get("cursor")).toBe("further"));
  server.last(PATH).json({ runs: [{ id: "1" }], next_cursor: null });
  expect(await found).toEqual({ runs: [{ id: "2" }, { id: "1" }], isWhole: true });
});

it("stops reading when its caller has gone", async () => {
  const server = new TestServer();
  const left = new AbortController();
  const found = runsSince(server.http, "p", SINCE, left.signal);
  await settle();
  left.abort();
  await expect(found).rejects.toThrow();
});
