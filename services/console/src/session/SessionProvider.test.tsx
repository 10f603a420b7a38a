import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SessionProvider } from "./SessionProvider";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("says that it connects while a server isn't ready to say who you are", async () => {
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json({ title: "Not ready" }, { status: 503 })));
  render(
    <QueryClientProvider client={new QueryClient()}>
      <SessionProvider>
        <p>The page</p>
      </SessionProvider>
    </QueryClientProvider>,
  );
  expect(screen.queryByRole("status")).toBeNull();
  await act(() => vi.advanceTimersByTimeAsync(1_100));
  expect(screen.getByRole("status").textContent).toContain("Connecting to the server…");
  expect(screen.queryByText("The page")).toBeNull();
});
