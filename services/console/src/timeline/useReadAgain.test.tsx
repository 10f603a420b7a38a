import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, cleanup, renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LEAST_MS, useReadAgain } from "./useReadAgain";

const KEY = ["timeline", "p"] as const;
const advance = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

function shown(read: () => Promise<unknown>) {
  const queries = new QueryClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={queries}>{children}</QueryClientProvider>
  );
  const useBoth = ({ mark }: { mark: string | undefined }) => {
    useReadAgain(mark, KEY);
    useQuery({ queryKey: [...KEY, 7], queryFn: read });
  };
  const initialProps: { mark: string | undefined } = { mark: undefined };
  const { rerender } = renderHook(useBoth, { wrapper, initialProps });
  return { queries, rerender };
}

it("reads again at once, then at most every few seconds, in one entry of the cache", async () => {
  const read = vi.fn(() => Promise.resolve(1));
  const { queries, rerender } = shown(read);
  rerender({ mark: "run 1 running" });
  await advance(10);
  expect(read).toHaveBeenCalledTimes(1);
  for (const mark of ["run 2 queued", "run 2 running", "run 3 queued", "run 3 running"]) {
    rerender({ mark });
    await advance(LEAST_MS / 10);
  }
  expect(read).toHaveBeenCalledTimes(2);
  await advance(LEAST_MS);
  expect(read).toHaveBeenCalledTimes(3);
  await advance(10 * LEAST_MS);
  expect(read).toHaveBeenCalledTimes(3);
  expect(queries.getQueryCache().getAll()).toHaveLength(1);
});

it("lets a read that takes long come to its end", async () => {
  let reads = 0;
  const read = () => {
    reads += 1;
    const [value, milliseconds] = [reads, reads === 1 ? 0 : 3 * LEAST_MS];
    return new Promise((resolve) => setTimeout(() => resolve(value), milliseconds));
  };
  const { queries, rerender } = shown(read);
  for (const mark of ["1", "2", "3", "4", "5"]) {
    rerender({ mark });
    await advance(LEAST_MS);
  }
  expect(queries.getQueryData([...KEY, 7])).toBe(2);
});
