import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { type Project, type Run, isActive } from "@runcast/client";
import { client } from "../session/session";

/** All projects that one may see. */
export function useProjects(options: { refetchInterval?: number; staleTime?: number } = {}): UseQueryResult<Project[]> {
  return useQuery({
    queryKey: ["projects"],
    queryFn: async () => (await client.projects({ limit: 1000 })).data.projects,
    staleTime: 30_000,
    ...options,
  });
}

export interface UnderWay {
  runs: readonly Run[];
  /** How many more there are than were read. */
  unread: number;
}

const MOST_RUNS = 1_000;

/** Runs under way in every project that one may see, read again and again. */
export function useUnderWay(options: { refetchInterval: number; enabled?: boolean }): UseQueryResult<UnderWay> {
  return useQuery({
    queryKey: ["under way"],
    queryFn: async () => {
      const query = { status: ["running", "awaiting_feedback"] as const, limit: MOST_RUNS };
      const { runs, total } = (await client.runs(query)).data;
      return { runs: runs.filter(isActive), unread: Math.max(0, (total ?? 0) - runs.length) };
    },
    ...options,
  });
}
