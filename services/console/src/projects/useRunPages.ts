import { useQueries } from "@tanstack/react-query";
import { type Run, type RunStatus, hasWords } from "@runcast/client";
import { freshness, keys, useProjectEvents } from "@runcast/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

const PAGE_RUNS = 200;

export interface RunFilter {
  status: RunStatus | undefined;
  q: string;
}

export interface RunPages {
  runs: readonly Run[];
  /** How many the filter finds in all; null while that isn't known. */
  total: number | null;
  isPending: boolean;
  error: Error | null;
  hasMore: boolean;
  loadMore: () => void;
  retry: () => void;
}

/**
 * A project's runs that a filter finds, page after page, every page kept live. While the first
 * answer to a new filter is on its way, what is known already is filtered here.
 */
export function useRunPages({ status, q }: RunFilter): RunPages {
  const { client, projectId, cache, isConnected } = useProjectEvents();
  const filter = `${status ?? ""} ${q}`;
  const [further, setFurther] = useState<{ filter: string; cursors: readonly string[] }>({ filter, cursors: [] });
  const cursors = further.filter === filter ? [null, ...further.cursors] : [null];
  const { pages, held } = useQueries({
    queries: cursors.map((cursor) => {
      const query = { ...(status && { status }), ...(q && { q }), cursor, limit: PAGE_RUNS };
      const live = freshness(isConnected);
      const queryKey = [...keys.runs(projectId), query];
      return {
        queryKey,
        queryFn: async () => {
          const { data, head } = await client.projectRuns(projectId, query);
          const { runs, total, next_cursor } = data;
          const list = { query, runs, total: total ?? null, nextCursor: next_cursor };
          return cache.hold("runs", queryKey, { data: list, head });
        },
        ...live,
        // Without a connection the newest page is read again and again; older ones hardly change.
        refetchInterval: cursor === null ? live.refetchInterval : (false as const),
      };
    }),
    combine: useCallback(
      (all: PageQuery[]) => ({
        pages: all,
        held: all.flatMap(({ data }) => (data ? [data.state] : [])),
      }),
      [],
    ),
  });
  const next = held.length === cursors.length ? (held.at(-1)?.nextCursor ?? null) : null;
  const loadMore = useCallback(() => {
    if (!next) return;
    setFurther((known) => {
      if (known.filter !== filter) return { filter, cursors: [next] };
      return known.cursors.includes(next) ? known : { filter, cursors: [...known.cursors, next] };
    });
  }, [next, filter]);
  const failed = pages.find(({ error }) => error);
  const isPending = pages[0]?.isPending ?? true;
  const answered = useMemo(() => unique(held.flatMap((page) => page.runs)), [held]);
  const before = useRef<readonly Run[]>([]);
  useEffect(() => {
    if (!isPending) before.current = answered;
  }, [isPending, answered]);
  const runs = useMemo(
    // eslint-disable-next-line react-hooks/refs -- what was shown before is what is shown meanwhile
    () => (isPending ? before.current.filter((run) => isFound(run, status, q)) : answered),
    [isPending, answered, status, q],
  );
  return {
    runs,
    total: held[0]?.total ?? null,
    isPending,
    error: failed?.error ?? null,
    hasMore: next !== null,
    loadMore,
    retry: () => void failed?.refetch(),
  };
}

interface PageQuery {
  data: { state: { runs: readonly Run[]; total: number | null; nextCursor: string | null } } | undefined;
  error: Error | null;
  isPending: boolean;
  refetch: () => unknown;
}

const isFound = (run: Run, status: RunStatus | undefined, q: string): boolean =>
  (status === undefined || run.status === status) && hasWords(run, q);

/** A page that was read later may begin with runs that the page before it ended with. */
function unique(runs: readonly Run[]): Run[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  return [...byId.values()];
}
