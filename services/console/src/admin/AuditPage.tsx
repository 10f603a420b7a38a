import { ScrollText } from "lucide-react";
import { useState } from "react";
import { Button } from "../design/Button";
import { ListState } from "../design/ListState";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Empty } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useList } from "../session/useList";

interface Entry {
  id: number;
  at: string;
  actor: string;
  action: string;
  project_id: string | null;
  subject: string | null;
  details: Record<string, unknown>;
  address: string | null;
}

const COLUMNS: readonly TableColumn<Entry>[] = [
  { title: "Time", className: "whitespace-nowrap text-muted", cell: ({ at }) => <Ago at={at} /> },
  { title: "Action", className: "font-medium", cell: ({ action }) => action.replaceAll("_", " ") },
  { title: "Who", className: "font-mono text-xs break-all", cell: ({ actor }) => actor },
  { title: "On", className: "text-xs break-all", cell: ({ subject }) => subject ?? "–" },
  { title: "From", className: "font-mono text-xs", cell: ({ address }) => address ?? "–" },
  {
    title: "Details",
    className: "font-mono text-2xs break-all text-muted",
    cell: ({ details }) => (Object.keys(details).length > 0 ? JSON.stringify(details) : ""),
  },
];

export function AuditPage() {
  useTitle("Audit");
  const [cursors, setCursors] = useState<readonly string[]>([]);
  const list = useList<Entry>("/admin/audit", "entries", { limit: 100, cursor: cursors.at(-1) });
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
                columns={COLUMNS}
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
