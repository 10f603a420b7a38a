import { useQuery } from "@tanstack/react-query";
import { useRuns } from "@runcast/react";
import { ChartGantt } from "lucide-react";
import { useMemo, useState } from "react";
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
import { dayStart, extentOf } from "./plot";
import { runsSince } from "./runs";
import { useReadAgain } from "./useReadAgain";

const DAY_MS = 86_400_000;
const RANGES = [
  ["1", "Last 24 hours"],
  ["7", "Last 7 days"],
  ["30", "Last 30 days"],
] as const;
const LOOK_MS = 30_000;

/** The days of the bars, at least two: a day that has just begun shows nothing alone. */
const barsOf = (days: number): number => Math.max(days, 2);

/** The runs of the range up to now, and of all days that have a bar. */
function useRunsOf(project: string, days: number) {
  const page = useRuns({ limit: 1 }).data;
  const newest = page?.runs[0];
  const all = useMemo(() => ["timeline", project] as const, [project]);
  // The newest run is live, so the plot is read again when it changes.
  useReadAgain(page && `${newest?.id} ${newest?.status}`, all);
  return useQuery({
    queryKey: [...all, days],
    queryFn: async ({ signal }) => {
      const now = serverNow();
      const since = now - days * DAY_MS;
      const firstDay = dayStart(barsOf(days), now);
      const read = await runsSince(client.http, project, Math.min(since, firstDay), signal);
      const recent = read.runs.filter(({ created_at: at }) => Date.parse(at) >= since);
      return { ...read, now, firstDay, recent, whole: extentOf(recent, [since, now]) };
    },
    refetchInterval: LOOK_MS,
  });
}

/** What each day cost, from one on; not read before that is known. */
function useCosts(project: string, firstDay: number | undefined) {
  const from = firstDay === undefined ? undefined : new Date(firstDay).toISOString().slice(0, 10);
  return useQuery({
    queryKey: ["usage by day", project, from],
    queryFn: async ({ signal }) => {
      const query = { group: "day", from };
      const path = `/projects/${project}/usage`;
      const { data } = await client.http.json<Schema<"UsageReport">>("GET", path, { query, signal });
      return new Map(data.rows.map((row) => [row.key, row.cost_usd]));
    },
    enabled: from !== undefined,
    refetchInterval: LOOK_MS,
  });
}

/** A project's runs over time, and what each day took and cost. */
export function TimelinePage() {
  const project = useProject();
  useTitle(`${project.name} timeline`);
  const [range, setRange] = useState("7");
  const days = Number(range);
  const found = useRunsOf(project.id, days);
  const costs = useCosts(project.id, found.data?.firstDay);
  return (
    <>
      <PageHeader
        title="Timeline"
        below={
          <p className="text-sm text-muted">
            {project.name}
            {found.data && ` · ${count(found.data.recent.length)}${found.data.isWhole ? "" : "+"} runs`}
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
        {found.data?.recent.length === 0 && (
          <Card>
            <Empty icon={<ChartGantt />} title="No runs in this time">
              Choose a longer range, or start a run.
            </Empty>
          </Card>
        )}
        {found.data && !found.data.isWhole && (
          <p className="text-sm text-muted">Only the newest {count(found.data.runs.length)} runs are shown.</p>
        )}
        {found.data && found.data.recent.length > 0 && (
          <RunPlot key={range} runs={found.data.recent} whole={found.data.whole} slug={project.slug} />
        )}
        {found.data && found.data.runs.length > 0 && (
          <Section title="By day" hint="Days in UTC">
            <DayBars
              runs={found.data.runs}
              days={barsOf(days)}
              now={found.data.now}
              costs={costs.data ?? null}
              costsError={costs.error}
            />
          </Section>
        )}
      </PageBody>
    </>
  );
}
