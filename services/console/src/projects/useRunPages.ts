import { useQueries } from "@tanstack/react-query";
import type { Run, RunStatus } from "@runcast/client";
import { freshness, keys, useProjectEvents } from "@runcast/react";
import { useCallback, useMemo, useState } from "react";

const PAGE_RUNS = 200;

export interface RunPages {
  runs: readonly Run[];
  total: number | null;
  isPending: boolean;
  error: Error | null;
  hasMore: boolean;
  loadMore: () => void;
  retry: () => void;
}

/** A project's runs, page after page, every page kept live. */
export function useRunPages(status: RunStatus | undefined): RunPages {
  const { client, projectId, cache, isConnected } = useProjectEvents();
  const [cursors, setCursors] = useState<readonly (string | null)[]>([null]);
  const pages = useQueries({
    queries: cursors.map((cursor) => {
      const query = { ...(status && { status }), cursor, limit: PAGE_RUNS };
      return {
        queryKey: [...keys.runs(projectId), query],
        queryFn: async () => {
          const { data, head } = await client.projectRuns(projectId, query);
          const { runs, total, next_cursor } = data;
          const list = { query, runs, total: total ?? null, nextCursor: next_cursor };
          return cache.hold("runs", { data: list, head });
        },
        ...freshness(isConnected),
      };
    }),
  });
  const held = pages.flatMap(({ data }) => (data ? [data.state] : []));
  const next = held.length === cursors.length ? (held.at(-1)?.nextCursor ?? null) : null;
  const loadMore = useCallback(() => {
    if (next) setCursors((known) => (known.includes(next) ? known : [...known, next]));
  }, [next]);
  const failed = pages.find(({ error }) => error);
  const runs = useMemo(() => unique(held.flatMap((page) => page.runs)), [held]);
  return {
    runs,
    total: held[0]?.total ?? null,
    isPending: pages[0]?.isPending ?? true,
    error: failed?.error ?? null,
    hasMore: next !== null,
    loadMore,
    retry: () => void failed?.refetch(),
  };
}

/** A page that was read later may begin with the runs that the one before ended with. */
function unique(runs: readonly Run[]): Run[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  return [...byId.values()];
}
