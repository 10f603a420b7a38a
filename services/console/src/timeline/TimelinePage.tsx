import { useQuery } from "@tanstack/react-query";
import type { Run } from "@runcast/client";
import { useRuns } from "@runcast/react";
import { ChartGantt } from "lucide-react";
import { useState } from "react";
import { Failure } from "../design/Failure";
import { Select } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Empty, Rows, Section } from "../design/Surface";
import { serverNow } from "../design/clock";
import { count } from "../design/format";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";
import { DayBars } from "./DayBars";
import { RunPlot } from "./RunPlot";
import { extentOf } from "./plot";

const DAY_MS = 86_400_000;
const RANGES = [
  ["1", "Last 24 hours"],
  ["7", "Last 7 days"],
  ["30", "Last 30 days"],
] as const;
const PAGE_RUNS = 200;
/** Beyond this many runs the oldest are left out, and the page says so. */
const MAX_RUNS = 2_000;
const LOOK_MS = 30_000;

/** The project's newest runs, as far back as a time. */
async function runsSince(project: string, since: number): Promise<{ runs: Run[]; isWhole: boolean }> {
  const runs: Run[] = [];
  let cursor: string | null = null;
  do {
    const { data } = await client.projectRuns(project, { limit: PAGE_RUNS, cursor });
    runs.push(...data.runs.filter(({ created_at: at }) => Date.parse(at) >= since));
    const oldest = data.runs.at(-1);
    cursor = oldest && Date.parse(oldest.created_at) >= since ? data.next_cursor : null;
  } while (cursor !== null && runs.length < MAX_RUNS);
  return { runs, isWhole: cursor === null };
}

/** A project's runs over time, and what each day took and cost. */
export function TimelinePage() {
  const project = useProject();
  useTitle(`${project.name} timeline`);
  const [range, setRange] = useState("7");
  const days = Number(range);
  // The newest page is live, so the plot is read again when it changes.
  const newest = useRuns({ limit: 1 }).data?.runs[0];
  const found = useQuery({
    queryKey: ["timeline", project.id, days, newest?.id, newest?.status],
    queryFn: async () => {
      const now = serverNow();
      const since = now - days * DAY_MS;
      const read = await runsSince(project.id, since);
      return { now, whole: extentOf(read.runs, [since, now]), ...read };
    },
    placeholderData: (held) => held,
    refetchInterval: LOOK_MS,
  });
  const usage = useQuery({
    queryKey: ["usage by day", project.id, days],
    queryFn: async () => {
      const from = new Date(serverNow() - (days - 1) * DAY_MS).toISOString().slice(0, 10);
      const path = `/projects/${project.id}/usage`;
      const { data } = await client.http.json<Schema<"UsageReport">>("GET", path, {
        query: { group: "day", from },
      });
      return new Map(data.rows.map((row) => [row.key, row.cost_usd]));
    },
  });
  return (
    <>
      <PageHeader
        title="Timeline"
        below={
          <p className="text-sm text-muted">
            {project.name}
            {found.data && ` · ${count(found.data.runs.length)}${found.data.isWhole ? "" : "+"} runs`}
          </p>
        }
        actions={
          <Select aria-label="Range" className="w-auto!" value={range} onChange={({ target }) => setRange(target.value)}>
            {RANGES.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </Select>
        }
      />
      <PageBody>
        {found.error && !found.data && <Failure error={found.error} onRetry={() => void found.refetch()} />}
        {found.isPending && <Rows count={6} />}
        {found.data?.runs.length === 0 && (
          <Card>
            <Empty icon={<ChartGantt />} title="No runs in this time">
              Choose a longer range, or start a run.
            </Empty>
          </Card>
        )}
        {found.data && found.data.runs.length > 0 && (
          <>
            {!found.data.isWhole && (
              <p className="text-sm text-muted">Only the newest {count(found.data.runs.length)} runs are shown.</p>
            )}
            <RunPlot key={range} runs={found.data.runs} whole={found.data.whole} slug={project.slug} />
            <Section title="By day" hint="Days in UTC">
              <DayBars runs={found.data.runs} days={Math.max(days, 2)} now={found.data.now} costs={usage.data ?? NO_COSTS} />
            </Section>
          </>
        )}
      </PageBody>
    </>
  );
}

const NO_COSTS: ReadonlyMap<string, number> = new Map();
