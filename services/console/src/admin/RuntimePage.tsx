import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Activity, RefreshCw } from "lucide-react";
import { useState } from "react";
import { Badge, Dot, type Tone } from "../design/Badge";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { Input, Select } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { StatusBadge } from "../design/Status";
import { Empty, Rows, Section } from "../design/Surface";
import { Ago } from "../design/Time";
import { cx } from "../design/classes";
import { count, fullTime } from "../design/format";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useReportedConnection } from "../shell/ConnectionState";
import { Table, type TableColumn } from "../design/Table";
import { Health } from "./Health";
import { Workers } from "./Workers";
import { type EventFilter, queryOf } from "./eventFilter";
import type { RuntimeEvent, RuntimeStatus, RuntimeTask } from "./types";
import { POLL_MS, useAdminStream } from "./useAdminStream";

const LAYERS = ["provider_runtime", "tool_runtime", "model_adapter", "execution", "dispatcher", "worker"];

export function RuntimePage() {
  useTitle("Runtime");
  const queries = useQueryClient();
  const stream = useAdminStream();
  useReportedConnection(stream);
  const isLive = stream.state?.status === "live";
  const refetchInterval = isLive ? false : POLL_MS;
  const status = useQuery({
    queryKey: ["runtime", "status"],
    queryFn: async () => (await client.http.json<RuntimeStatus>("GET", "/admin/runtime/status")).data,
    refetchInterval,
  });
  return (
    <>
      <PageHeader
        title="Runtime"
        below={
          <p className="flex items-center gap-1.5 text-sm text-muted">
            <Dot tone={isLive ? "ok" : "warn"} /> {isLive ? "Live" : `Updates every ${POLL_MS / 1000} s`}
            {status.data?.last_event_at && (
              <span>
                · last event <Ago at={status.data.last_event_at} />
              </span>
            )}
          </p>
        }
        actions={
          <Button
            icon={<RefreshCw />}
            busy={status.isFetching && !status.isPending}
            onClick={() => void queries.invalidateQueries({ queryKey: ["runtime"] })}
          >
            Refresh
          </Button>
        }
      />
      <PageBody>
        {status.error && !status.data && (
          <Failure error={status.error} onRetry={() => void status.refetch()} />
        )}
        {status.isPending && <Rows count={3} className="h-24" />}
        {status.data && (
          <>
            <Health status={status.data} />
            <Queue queue={status.data.queue} />
            <Workers workers={status.data.workers} />
            <Events refetchInterval={refetchInterval} />
            <Tasks refetchInterval={refetchInterval} />
          </>
        )}
      </PageBody>
    </>
  );
}

const QUEUE: readonly (readonly [string, string, Tone])[] = [
  ["PENDING", "Pending", "idle"],
  ["BLOCKED", "Blocked", "idle"],
  ["RUNNING", "Running", "live"],
  ["IN_REVIEW", "In review", "plan"],
  ["DONE", "Done", "ok"],
  ["SKIPPED", "Skipped", "idle"],
  ["FAILED", "Failed", "bad"],
];

function Queue({ queue }: { queue: RuntimeStatus["queue"] }) {
  return (
    <Section title="Queue" hint="Now, and the change within an hour">
      <dl className="grid grid-cols-2 gap-px overflow-hidden rounded-lg border bg-line shadow-card sm:grid-cols-4 xl:grid-cols-7">
        {QUEUE.map(([key, word, tone]) => {
          const { count: now, delta_1h: delta } = queue[key] ?? { count: 0, delta_1h: 0 };
          return (
            <div key={key} className="flex flex-col bg-surface px-4 py-3 last:col-span-2 xl:last:col-span-1">
              <dt className="flex items-center gap-1.5 text-xs text-muted">
                <Dot tone={tone} /> {word}
              </dt>
              <dd className="nums flex items-baseline gap-2 text-xl font-semibold">
                {count(now)}
                <span className={cx("text-xs font-normal", trendTone(key, delta))}>
                  {delta === 0 ? "±0" : delta > 0 ? `+${count(delta)}` : `−${count(-delta)}`}
                </span>
              </dd>
            </div>
          );
        })}
      </dl>
    </Section>
  );
}

function trendTone(key: string, delta: number): string {
  if (delta > 0 && key === "FAILED") return "text-bad";
  if (delta > 0 && key === "DONE") return "text-ok";
  return "text-muted";
}

function Events({ refetchInterval }: { refetchInterval: number | false }) {
  const navigate = useNavigate();
  const search: EventFilter = useSearch({ strict: false });
  const [cursors, setCursors] = useState<readonly string[]>([]);
  const cursor = cursors.at(-1);
  const filter = queryOf(search);
  const events = useQuery({
    queryKey: ["runtime", "events", filter, cursor],
    queryFn: async () =>
      (
        await client.http.json<Schema<"RuntimeEventPage">>(
          "GET",
          "/admin/runtime/events",
          { query: { ...filter, cursor, limit: 50 } },
        )
      ).data,
    refetchInterval: cursor ? false : refetchInterval,
    placeholderData: keepPreviousData,
  });
  const set = (change: EventFilter): void => {
    setCursors([]);
    const next = Object.fromEntries(
      Object.entries({ ...search, ...change }).filter(([, value]) => value !== ""),
    );
    void navigate({ to: "/admin/runtime", search: next, replace: true });
  };
  return (
    <Section title="Runtime events">
      <div className="flex flex-wrap gap-2">
        <Select aria-label="Layer" className="w-auto!" value={search.layer ?? ""} onChange={({ target }) => set({ layer: target.value })}>
          <option value="">All layers</option>
          {LAYERS.map((layer) => (
            <option key={layer}>{layer}</option>
          ))}
        </Select>
        <FilterInput name="reason_code" label="Reason code" filter={search} onSet={set} />
        <FilterInput name="entity_id" label="Entity" filter={search} onSet={set} />
        <FilterInput name="worker_id" label="Worker" filter={search} onSet={set} />
        <FilterInput name="task_id" label="Task id" filter={search} onSet={set} />
        <span className="flex flex-wrap gap-2">
          <TimeInput name="from" label="From" filter={search} onSet={set} />
          <TimeInput name="to" label="To" filter={search} onSet={set} />
        </span>
      </div>
      {events.error && !events.data ? (
        <Failure error={events.error} onRetry={() => void events.refetch()} />
      ) : (
        <Table
          label="Runtime events"
          columns={EVENT_COLUMNS}
          rows={events.data?.events ?? []}
          keyOf={({ id }) => id}
          empty={<Empty icon={<Activity />} title={events.isPending || events.isPlaceholderData ? "Loading…" : "No matching events"} />}
        />
      )}
      <div className="flex justify-end gap-2">
        <Button size="sm" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>
          Newer
        </Button>
        <Button
          size="sm"
          disabled={!events.data?.next_cursor}
          onClick={() => {
            const next = events.data?.next_cursor;
            if (next) setCursors([...cursors, next]);
          }}
        >
          Older
        </Button>
      </div>
    </Section>
  );
}

interface FilterProps {
  name: keyof EventFilter;
  label: string;
  filter: EventFilter;
  onSet: (change: EventFilter) => void;
}

function FilterInput({ name, label, filter, onSet }: FilterProps) {
  return (
    <Input
      key={filter[name] ?? ""}
      aria-label={label}
      placeholder={label}
      className="w-36"
      defaultValue={filter[name] ?? ""}
      onBlur={({ target }) => target.value !== (filter[name] ?? "") && onSet({ [name]: target.value })}
      onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
    />
  );
}

function TimeInput({ name, label, filter, onSet }: FilterProps) {
  return (
    <label className="flex items-center gap-2 text-sm text-muted">
      {label}
      <Input
        type="datetime-local"
        className="w-48"
        value={filter[name] ?? ""}
        onChange={({ target }) => onSet({ [name]: target.value })}
      />
    </label>
  );
}

/** TOOL_CALL as people write it. */
const word = (name: string): string => {
  const plain = name.toLowerCase().replaceAll("_", " ");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
};

/** Reason codes that end like these tell of a failure. */
const BAD = /(FAILED|ERROR|TIMEOUT|LIMITED|OPENED|EXHAUSTED|STUCK|STALE|DENIED|INVALID|UNAVAILABLE)$/;

const toneOfEvent = (operation: string, reason: string): Tone =>
  BAD.test(reason) ? "bad" : operation === "FALLBACK" || operation === "RETRY" ? "warn" : "idle";

const EVENT_COLUMNS: readonly TableColumn<RuntimeEvent>[] = [
  {
    title: "Time",
    className: "whitespace-nowrap text-muted",
    cell: ({ occurred_at: at }) => (
      <span title={fullTime(at)}>
        <Ago at={at} />
      </span>
    ),
  },
  { title: "Layer", cell: ({ layer }) => word(layer) },
  { title: "Operation", cell: ({ operation, reason_code: code }) => <Badge tone={toneOfEvent(operation, code)}>{word(operation)}</Badge> },
  { title: "Reason", className: "font-mono text-xs", cell: ({ reason_code: code }) => code },
  {
    title: "Entity",
    className: "font-mono text-xs",
    cell: ({ entity_id: entity }) => (
      <Link to="/admin/runtime" search={{ entity_id: entity }} className="hover:text-accent hover:underline">
        {entity}
      </Link>
    ),
  },
  {
    title: "Details",
    className: "max-w-80 font-mono text-2xs text-muted",
    cell: ({ metadata }) => (
      <span className="line-clamp-2 break-all" title={JSON.stringify(metadata, null, 2)}>
        {Object.keys(metadata).length > 0 && JSON.stringify(metadata)}
      </span>
    ),
  },
];

const TASK_COLUMNS: readonly TableColumn<RuntimeTask>[] = [
  {
    title: "Subtask",
    cell: ({ project, title }) => (
      <Link to="/projects/$project/board" params={{ project }} className="font-medium hover:text-accent hover:underline">
        {title}
      </Link>
    ),
  },
  { title: "Status", cell: ({ status }) => <StatusBadge status={status} /> },
  { title: "Reason", className: "text-muted", cell: ({ stuck, error, skip_reason: skipped }) => stuck ?? error ?? skipped ?? "–" },
  {
    title: "Lease",
    className: "text-muted",
    cell: ({ worker_id, lease_expires_at }) =>
      worker_id ? (
        <>
          {worker_id}
          {lease_expires_at && <span title={fullTime(lease_expires_at)}> until {new Date(lease_expires_at).toLocaleTimeString()}</span>}
        </>
      ) : (
        "–"
      ),
  },
  {
    title: "Latest event",
    cell: ({ id, latest_event: event }) =>
      event ? (
        <Link
          to="/admin/runtime"
          search={{ task_id: id }}
          className="font-mono text-xs text-accent hover:underline"
        >
          {event.reason_code}
        </Link>
      ) : (
        <span className="text-faint">–</span>
      ),
  },
  { title: "Changed", className: "whitespace-nowrap text-muted", cell: ({ updated_at }) => <Ago at={updated_at} /> },
];

function Tasks({ refetchInterval }: { refetchInterval: number | false }) {
  const [stuck, setStuck] = useState(false);
  const tasks = useQuery({
    queryKey: ["runtime", "tasks", stuck],
    queryFn: async () =>
      (
        await client.http.json<Schema<"RuntimeTaskPage">>("GET", "/admin/runtime/tasks", {
          query: { stuck: stuck || undefined, limit: 50 },
        })
      ).data.tasks,
    refetchInterval,
    placeholderData: keepPreviousData,
  });
  return (
    <Section
      title="Recent tasks"
      actions={
        <label className="flex items-center gap-2 text-sm text-muted">
          <input type="checkbox" checked={stuck} onChange={({ target }) => setStuck(target.checked)} />
          Stuck only
        </label>
      }
    >
      {tasks.error && !tasks.data ? (
        <Failure error={tasks.error} onRetry={() => void tasks.refetch()} />
      ) : (
        <Table
          label="Recent tasks"
          columns={TASK_COLUMNS}
          rows={tasks.data ?? []}
          keyOf={({ id }) => id}
          empty={<Empty icon={<Activity />} title={tasks.isPending || tasks.isPlaceholderData ? "Loading…" : stuck ? "Nothing is stuck" : "No tasks yet"} />}
        />
      )}
    </Section>
  );
}
