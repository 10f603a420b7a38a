import { ScrollText } from "lucide-react";
import { useMemo, useState } from "react";
import { Button } from "../design/Button";
import { ListState } from "../design/ListState";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Empty } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { shortId } from "../design/format";
import { useProjects } from "../projects/useProjects";
import { useList } from "../session/useList";
import { actorText } from "./actor";
import { useUserNames } from "./useUserNames";
import type { Schema } from "../session/schemas";

type Entry = Schema<"AuditEntry">;

const columnsFor = (users: ReadonlyMap<string, string>, projects: ReadonlyMap<string, string>): readonly TableColumn<Entry>[] => [
  { title: "Time", className: "whitespace-nowrap text-muted", cell: ({ at }) => <Ago at={at} /> },
  { title: "Action", className: "font-medium", cell: ({ action }) => action.replaceAll("_", " ") },
  { title: "Who", className: "whitespace-nowrap", cell: ({ actor }) => <span title={actor}>{actorText(actor, users)}</span> },
  {
    title: "On",
    className: "whitespace-nowrap",
    cell: ({ subject }) => (subject === null ? "–" : <span title={subject}>{subjectText(subject, users)}</span>),
  },
  {
    title: "Project",
    className: "whitespace-nowrap",
    cell: ({ project_id: id }) => (id === null ? "–" : <span title={id}>{projects.get(id) ?? shortId(id)}</span>),
  },
  { title: "From", className: "font-mono text-xs", cell: ({ address }) => address ?? "–" },
  {
    title: "Details",
    className: "text-xs text-muted",
    cell: ({ details }) => detailsText(details),
  },
];

const READ_MS = 15_000;
const IS_ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

const subjectText = (subject: string, users: ReadonlyMap<string, string>): string =>
  users.get(subject) ?? (IS_ID.test(subject) ? shortId(subject) : subject);

/** "role: editor, scopes: worker" */
const detailsText = (details: Entry["details"]): string =>
  Object.entries(details)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name.replaceAll("_", " ")}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");

export function AuditPage() {
  useTitle("Audit");
  const [cursors, setCursors] = useState<readonly string[]>([]);
  const cursor = cursors.at(-1);
  const refetchInterval = cursor ? {} : { refetchInterval: READ_MS };
  const list = useList<Entry>("/admin/audit", "entries", { limit: 100, cursor }, refetchInterval);
  const users = useUserNames();
  const known = useProjects();
  const projects = useMemo(() => new Map(known.data?.map(({ id, name }) => [id, name])), [known.data]);
  return (
    <>
      <PageHeader
        title="Audit"
        below={<p className="text-sm text-muted">Who signed in, and who changed keys, members and people</p>}
      />
      <PageBody className="gap-3!">
        <ListState list={list}>
          {({ rows, nextCursor }) => (
            <>
              <Table
                label="Audit log"
                columns={columnsFor(users, projects)}
                rows={rows}
                keyOf={({ id }) => String(id)}
                empty={<Empty icon={<ScrollText />} title="Nothing was recorded yet" />}
              />
              <div className="flex justify-end gap-2">
                <Button size="sm" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>
                  Newer
                </Button>
                <Button
                  size="sm"
                  disabled={nextCursor === null}
                  onClick={() => nextCursor && setCursors([...cursors, nextCursor])}
                >
                  Older
                </Button>
              </div>
            </>
          )}
        </ListState>
      </PageBody>
    </>
  );
}
