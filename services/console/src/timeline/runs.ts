/** The runs of a time as the timeline needs them: many, so each with few members. */
import type { Http, Listed, Query } from "@runcast/client";
import type { PlottedRun } from "./plot";

const PAGE_RUNS = 200;
/** Beyond this many runs the oldest are left out, and the page says so. */
const MAX_RUNS = 2_000;
const FIELDS = "id,number,name,key,status,created_at,started_at,finished_at";

type Page = Readonly<{ runs: PlottedRun[] } & Pick<Listed, "next_cursor">>;

/** A project's newest runs, as far back as a time; `isWhole` says whether these are all. */
export async function runsSince(
  http: Http,
  project: string,
  since: number,
  signal: AbortSignal,
): Promise<{ runs: PlottedRun[]; isWhole: boolean }> {
  const runs: PlottedRun[] = [];
  const wanted = { limit: PAGE_RUNS, fields: FIELDS, created_after: new Date(since).toISOString() };
  let cursor: string | null = null;
  do {
    const query: Query = { ...wanted, cursor };
    const page: Page = (await http.json<Page>("GET", `/projects/${project}/runs`, { query, signal })).data;
    runs.push(...page.runs);
    cursor = page.next_cursor;
  } while (cursor !== null && runs.length < MAX_RUNS);
  return { runs, isWhole: cursor === null };
}
