import type { RunStatus } from "@runcast/client";
import { useMemo, type ReactNode } from "react";
import { toneOf, wordOf } from "../design/Status";
import { Card } from "../design/Surface";
import { duration } from "../design/format";
import { dollars } from "../runs/usage";
import { type Day, type PlottedRun, daysOf } from "./plot";

const STATUSES: readonly RunStatus[] = ["completed", "failed", "cancelled", "queued", "awaiting_feedback", "running"];
const FILLS = {
  live: "bg-live",
  ok: "bg-ok",
  warn: "bg-warn",
  bad: "bg-bad",
  idle: "bg-control",
  plan: "bg-plan",
  accent: "bg-accent",
};

interface DayBarsProps {
  runs: readonly PlottedRun[];
  days: number;
  now: number;
  /** By day; null while they aren't known. */
  costs: ReadonlyMap<string, number> | null;
  /** Why the costs can't be read. */
  costsError: Error | null;
}

/** Three small plots over days: how many runs, how long they took, what they cost. */
export function DayBars({ runs, days, now, costs, costsError }: DayBarsProps) {
  const all = useMemo(() => daysOf(runs, days, now), [runs, days, now]);
  const most = Math.max(1, ...all.map(({ total }) => total));
  const longest = Math.max(1, ...all.map(({ median }) => median ?? 0));
  return (
    <div className="grid gap-4 lg:grid-cols-3">
      <Plot
        title="Runs"
        most={String(most)}
        days={all}
        textOf={(day) =>
          STATUSES.flatMap((status) => (day.counts[status] ? [`${day.counts[status]} ${wordOf(status).toLowerCase()}`] : [])).join(", ") || "none"
        }
        drawn={(day) => (
          <span className="flex w-full flex-col-reverse overflow-hidden rounded-t-sm" style={{ height: `${(100 * day.total) / most}%` }}>
            {STATUSES.map((status) => (
              <span key={status} className={FILLS[toneOf(status)]} style={{ flexGrow: day.counts[status] ?? 0 }} />
            ))}
          </span>
        )}
      />
      <Plot
        title="Median duration"
        most={duration(longest)}
        days={all}
        textOf={({ median }) => (median === null ? "none" : duration(median))}
        drawn={({ median }) => <Bar share={(median ?? 0) / longest} fill="bg-live" />}
      />
      {costs ? <Costs days={all} costs={costs} /> : <NoCosts error={costsError} />}
    </div>
  );
}

function Costs({ days, costs }: { days: readonly Day[]; costs: ReadonlyMap<string, number> }) {
  const costOf = ({ day }: Day): number => costs.get(day) ?? 0;
  const dearest = Math.max(0, ...days.map(costOf));
  const total = days.reduce((sum, day) => sum + costOf(day), 0);
  return (
    <Plot
      title={`Cost${total > 0 ? ` · ${dollars(total)} in all` : ""}`}
      most={dollars(dearest)}
      days={days}
      textOf={(day) => dollars(costOf(day))}
      drawn={(day) => <Bar share={dearest > 0 ? costOf(day) / dearest : 0} fill="bg-plan" />}
    />
  );
}

/** Costs that aren't known are not drawn as none. */
function NoCosts({ error }: { error: Error | null }) {
  return (
    <Card className="flex flex-col gap-2 p-4">
      <p className="text-sm font-medium">Cost</p>
      <p role="status" className="text-sm text-muted">
        {error ? `The costs can't be read: ${error.message}` : "Loading…"}
      </p>
    </Card>
  );
}

function Bar({ share, fill }: { share: number; fill: string }) {
  return <span className={`w-full rounded-t-sm ${fill}`} style={{ height: `${100 * share}%` }} />;
}

interface PlotProps {
  title: string;
  /** What the top of the plot stands for. */
  most: string;
  days: readonly Day[];
  textOf: (day: Day) => string;
  drawn: (day: Day) => ReactNode;
}

function Plot({ title, most, days, textOf, drawn }: PlotProps) {
  return (
    <Card className="flex flex-col gap-2 p-4">
      <p className="flex items-baseline justify-between text-sm font-medium">
        {title}
        <span className="nums text-xs font-normal text-muted">max {most}</span>
      </p>
      <ol aria-label={title} className="flex h-28 items-end gap-px border-b">
        {days.map((day) => (
          <li key={day.day} title={`${day.day}: ${textOf(day)}`} className="flex h-full min-w-0 flex-1 items-end hover:bg-hover">
            {drawn(day)}
            <span className="sr-only">{`${day.day}: ${textOf(day)}`}</span>
          </li>
        ))}
      </ol>
      <p className="nums flex justify-between text-2xs text-muted">
        <span>{days[0]?.day}</span>
        <span>{days.at(-1)?.day}</span>
      </p>
    </Card>
  );
}
