import { Link } from "@tanstack/react-router";
import { Cable, Unplug } from "lucide-react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { ListState } from "../design/ListState";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Empty } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { bytes, count, duration, shortId } from "../design/format";
import { client } from "../session/session";
import { useProjects } from "../projects/useProjects";
import { useList } from "../session/useList";
import { actorText } from "./actor";
import { useUserNames } from "./useUserNames";

/** An open stream as the hub tells of it; the hub's own list is not in the API's description. */
interface Connection {
  id: string;
  user: string;
  project: string;
  run: string | null;
  logs: readonly string[] | "all";
  lag: number;
  sent: number;
  ageSeconds: number;
  hub: string;
}

/** Reads what the hub says, whatever it leaves out. */
export function connectionOf(told: Record<string, unknown>): Connection {
  const text = (name: string): string => (typeof told[name] === "string" ? told[name] : "");
  const number = (name: string): number => Number(told[name] ?? 0) || 0;
  const logs = told.subscribe_logs;
  return {
    id: text("connection_id"),
    user: text("user"),
    project: text("project_id"),
    run: text("run_id") || null,
    logs: Array.isArray(logs) ? (logs as string[]) : logs === "all" ? "all" : [],
    lag: number("lag"),
    sent: number("bytes"),
    ageSeconds: number("age_s"),
    hub: text("hub"),
  };
}

const READ_MS = 5_000;

export function ConnectionsPage() {
  useTitle("Connections");
  const list = useList<Record<string, unknown>>("/admin/connections", "connections", {}, { refetchInterval: READ_MS });
  const projects = useProjects();
  const users = useUserNames();
  const columns: readonly TableColumn<Connection>[] = [
    { title: "Who", cell: ({ user }) => <span title={user}>{actorText(user, users)}</span> },
    {
      title: "Project",
      cell: ({ project: id }) => (
        <Link to="/projects/$project" params={{ project: id }} className="hover:text-accent hover:underline">
          {projects.data?.find((project) => project.id === id)?.name ?? shortId(id)}
        </Link>
      ),
    },
    { title: "Lines", cell: filterText },
    {
      title: "Behind",
      className: "nums",
      cell: ({ lag }) => (lag > 0 ? <Badge tone="warn">{count(lag)} events</Badge> : "–"),
    },
    { title: "Sent", className: "nums whitespace-nowrap", cell: ({ sent }) => bytes(sent) },
    { title: "Age", className: "nums whitespace-nowrap", cell: ({ ageSeconds: age }) => duration(age * 1000) },
    { title: "Hub", className: "font-mono text-xs", cell: ({ hub }) => hub.slice(0, 8) },
    {
      title: "",
      className: "text-right",
      cell: ({ id, user }) => (
        <Confirm
          title="Disconnect this client?"
          text={`${actorText(user, users)} will be disconnected and may reconnect.`}
          action="Disconnect"
          onConfirm={async () => {
            await client.http.send("DELETE", `/connections/${id}`);
            await list.refetch();
          }}
        >
          {(ask) => (
            <Button size="sm" icon={<Unplug />} onClick={ask}>
              Disconnect
            </Button>
          )}
        </Confirm>
      ),
    },
  ];
  return (
    <>
      <PageHeader
        title="Connections"
        below={<p className="text-sm text-muted">Open streams on all hubs · updates every 5 s</p>}
      />
      <PageBody>
        <ListState list={list}>
          {({ rows }) => (
            <Table
              label="Connections"
              columns={columns}
              rows={rows.map(connectionOf)}
              keyOf={({ id }) => id}
              empty={<Empty icon={<Cable />} title="No open streams" />}
            />
          )}
        </ListState>
      </PageBody>
    </>
  );
}

function filterText({ run, logs }: Connection): string {
  if (run) return `run ${shortId(run)}`;
  if (logs === "all") return "all runs";
  if (logs.length === 0) return "none";
  return `${logs.length} ${logs.length === 1 ? "run" : "runs"}`;
}
