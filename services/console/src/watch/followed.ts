/** Which projects come on the connection, which are read instead, and when to ask for others. */
import type { UseQueryResult } from "@tanstack/react-query";
import type { Project, Run } from "@runcast/client";
import type { CombinedEvents } from "@runcast/react";
import { useCallback, useEffect, useMemo, useState } from "react";
import type { UnderWay } from "../projects/useProjects";

type ByProject = ReadonlyMap<string, readonly Run[]>;
const NO_IDS: ReadonlySet<string> = new Set();

/** The projects that the connection follows; while it is lost, those that it followed. */
export function useCarried({ state, live }: CombinedEvents): ReadonlySet<string> {
  const [carried, setCarried] = useState(NO_IDS);
  if (state.status === "live" && live !== carried) setCarried(live);
  return carried;
}

/** The followed projects that are known to have nothing under way, and how one says so. */
export function useIdle(): [ReadonlySet<string>, (id: string, isIdle: boolean) => void] {
  const [idle, setIdle] = useState(NO_IDS);
  const tell = useCallback((id: string, isIdle: boolean) => {
    setIdle((known) => {
      if (known.has(id) === isIdle) return known;
      const next = new Set(known);
      if (isIdle) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  return [idle, tell];
}

/** What was read, by project; undefined where it is older than the loss of the connection. */
export function usePolled({ data, dataUpdatedAt }: UseQueryResult<UnderWay>, isLive: boolean): ByProject | undefined {
  const [lostAt, setLostAt] = useState(0);
  useEffect(() => (isLive ? () => setLostAt(Date.now()) : undefined), [isLive]);
  return useMemo(() => {
    if (!data || dataUpdatedAt < lostAt) return undefined;
    const byProject = new Map<string, Run[]>();
    for (const run of data.runs) {
      const runs = byProject.get(run.project_id) ?? [];
      byProject.set(run.project_id, [...runs, run]);
    }
    return byProject;
  }, [data, dataUpdatedAt, lostAt]);
}

/** The most projects that one connection follows. */
export const MOST_FOLLOWED = 50;

/**
 * Whether opening the stream again would follow more: it takes those in which something happened last. Where
 * there is room, a project that isn't followed was made since; else one must have woken up, and another fallen
 * asleep.
 */
export function findsMore(
  projects: readonly Pick<Project, "id">[],
  carried: ReadonlySet<string>,
  idle: ReadonlySet<string>,
  polled: ByProject | undefined,
): boolean {
  const others = projects.filter(({ id }) => !carried.has(id));
  if (carried.size < MOST_FOLLOWED) return others.length > 0;
  return idle.size > 0 && others.some(({ id }) => polled?.has(id));
}

const ASK_MS = 10_000;

/** Has projects followed that were made, or woke up, after the stream was opened. */
export function useNewcomers(
  projects: readonly Project[],
  { events, carried, idle, polled }: { events: CombinedEvents; carried: ReadonlySet<string>; idle: ReadonlySet<string>; polled: ByProject | undefined },
): void {
  const { reopen, state } = events;
  const isLive = state.status === "live";
  const hasMore = isLive && findsMore(projects, carried, idle, polled);
  useEffect(() => {
    if (!hasMore) return undefined;
    reopen();
    const timer = setInterval(reopen, ASK_MS);
    return () => clearInterval(timer);
  }, [hasMore, reopen]);
}

/** What a project's part of the page is called: by its name, and by its slug too where others have that name. */
export function labelOf(project: Named, all: readonly Named[]): string {
  const isShared = all.some(({ slug, name }) => name === project.name && slug !== project.slug);
  return isShared ? `${project.name} (${project.slug})` : project.name;
}

interface Named {
  name: string;
  slug: string;
}
