import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { Query } from "@runcast/client";
import { client } from "./session";

export interface Listed<T> {
  rows: T[];
  total: number | null;
  nextCursor: string | null;
}

/** One of the API's lists: `{"<plural>": […], total, next_cursor}`. */
export function useList<T>(
  path: string,
  plural: string,
  query: Query = {},
  options: { refetchInterval?: number; enabled?: boolean } = {},
): UseQueryResult<Listed<T>> {
  return useQuery({
    queryKey: ["list", path, query],
    queryFn: async () => {
      const { data } = await client.http.json<Record<string, unknown>>("GET", path, { query });
      return {
        rows: (data[plural] as T[] | undefined) ?? [],
        total: (data.total as number | undefined) ?? null,
        nextCursor: (data.next_cursor as string | null | undefined) ?? null,
      };
    },
    ...options,
  });
}
