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

interface Connection {
  connection_id: string;
  user: string;
  project_id: string;
  run_id: string | null;
  subscribe_logs: readonly string[] | "all" | null;
  lag: number;
  bytes: number;
  age_s: number;
  hub: string;
}

const READ_MS = 5_000;

export function ConnectionsPage() {
  useTitle("Connections");
  const list = useList<Connection>("/admin/connections", "connections", {}, { refetchInterval: READ_MS });
  const projects = useProjects();
  const users = useUserNames();
  const columns: readonly TableColumn<Connection>[] = [
    { title: "Who", cell: ({ user }) => <span title={user}>{actorText(user, users)}</span> },
    {
      title: "Project",
      cell: ({ project_id: id }) => (
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
    { title: "Sent", className: "nums whitespace-nowrap", cell: ({ bytes: sent }) => bytes(sent) },
    { title: "Age", className: "nums whitespace-nowrap", cell: ({ age_s: age }) => duration(age * 1000) },
    { title: "Hub", className: "font-mono text-xs", cell: ({ hub }) => hub.slice(0, 8) },
    {
      title: "",
      className: "text-right",
      cell: ({ connection_id: id, user }) => (
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
        below={<p className="text-sm text-muted">Open streams on all hubs, Updates every 5 s</p>}
      />
      <PageBody>
        <ListState list={list}>
          {({ rows }) => (
            <Table
              label="Connections"
              columns={columns}
              rows={rows}
              keyOf={({ connection_id: id }) => id}
              empty={<Empty icon={<Cable />} title="No open streams" />}
            />
          )}
        </ListState>
      </PageBody>
    </>
  );
}

function filterText({ run_id: run, subscribe_logs: logs }: Connection): string {
  if (run) return `run ${shortId(run)}`;
  if (logs === "all") return "all runs";
  const runs = logs?.length ?? 0;
  if (runs === 0) return "none";
  return `${runs} ${runs === 1 ? "run" : "runs"}`;
}
