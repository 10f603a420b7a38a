import type { ConnectionState } from "@runcast/client";
import { QueryClient, QueryClientProvider, QueryObserver } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SESSION } from "../session/query";
import { ConnectionBadge, ConnectionStates, useReportedConnection } from "./ConnectionState";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", () => Promise.resolve(new Response()));
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const retryNow = (): void => undefined;
const SHOWN: Record<string, { state: ConnectionState; retryNow: () => void }> = {
  live: { state: { status: "live", connectionId: "c" }, retryNow },
  connecting: { state: { status: "connecting" }, retryNow },
  revoked: { state: { status: "closed", reason: "revoked", problem: null }, retryNow },
};

function Page({ status }: { status: string }) {
  useReportedConnection(SHOWN[status] ?? null);
  return null;
}

it("stays Live from page to page, and says so once it isn't", () => {
  const queries = new QueryClient();
  const frame = (page: string | null, status = "") => (
    <QueryClientProvider client={queries}>
      <ConnectionStates>
        <ConnectionBadge />
        {page !== null && <Page key={page} status={status} />}
      </ConnectionStates>
    </QueryClientProvider>
  );
  const pass = (ms: number): void => act(() => void vi.advanceTimersByTime(ms));
  const badge = () => screen.getByTestId("connection").textContent;
  const { rerender } = render(frame("list", "live"));
  expect(badge()).toBe("Live");
  for (const [page, status] of [[null, ""], ["run", "connecting"], ["run", "live"]] as const) {
    rerender(frame(page, status));
    expect(badge()).toBe("Live");
    pass(300);
  }
  pass(2_000);
  expect(badge()).toBe("Live");
  rerender(frame("run", "connecting"));
  pass(1_100);
  expect(badge()).toBe("Connecting…");
});

it("asks again who is signed in, once no server can remember what was revoked", async () => {
  const queries = new QueryClient();
  const answers = [{ id: "me" }, null];
  const ask = vi.fn(() => Promise.resolve(answers.shift() ?? null));
  const session = new QueryObserver(queries, { queryKey: SESSION, queryFn: ask, enabled: true, initialData: { id: "me" }, staleTime: Infinity });
  const stop = session.subscribe(() => undefined);
  render(
    <QueryClientProvider client={queries}>
      <ConnectionStates>
        <Page status="revoked" />
      </ConnectionStates>
    </QueryClientProvider>,
  );
  await act(() => vi.advanceTimersByTimeAsync(1_000));
  expect(queries.getQueryData(SESSION)).toEqual({ id: "me" });
  await act(() => vi.advanceTimersByTimeAsync(10_000));
  expect(queries.getQueryData(SESSION)).toBeNull();
  expect(ask).toHaveBeenCalledTimes(2);
  stop();
});
