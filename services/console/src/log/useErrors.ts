import type { RuncastClient } from "@runcast/client";
import { useCallback } from "react";

/** Levels that stand for an error, as the server names them. */
const ERRORS = ["error", "critical"];

/** The number of the first line after another one that is an error, or null. */
export function useErrors(client: RuncastClient, runId: string): (after: number) => Promise<number | null> {
  return useCallback(
    async (after: number) => {
      const firsts = ERRORS.map(async (level) => {
        let page = (await client.logs(runId, { after_line: after, limit: 1, level })).data;
        while (page.logs.length === 0 && page.next_cursor !== null) {
          const cursor = page.next_cursor;
          page = (await client.logs(runId, { after_line: after, limit: 1, level, cursor })).data;
        }
        return page.logs[0]?.line_number ?? Infinity;
      });
      const first = Math.min(...(await Promise.all(firsts)));
      return Number.isFinite(first) ? first : null;
    },
    [client, runId],
  );
}
