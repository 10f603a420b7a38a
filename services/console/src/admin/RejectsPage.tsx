import { FileWarning } from "lucide-react";
import { ListState } from "../design/ListState";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Empty } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useList } from "../session/useList";
import type { Schema } from "../session/schemas";

type Reject = Schema<"Reject">;

const COLUMNS: readonly TableColumn<Reject>[] = [
  { title: "Time", className: "whitespace-nowrap text-muted", cell: ({ at }) => <Ago at={at} /> },
  { title: "Reason", cell: ({ reason }) => reason },
  { title: "Stream id", className: "font-mono text-xs whitespace-nowrap", cell: ({ stream_id: id }) => id },
  {
    title: "Message",
    className: "max-w-xl",
    cell: ({ message }) => (
      <details>
        <summary className="cursor-pointer truncate font-mono text-xs text-muted">{message.slice(0, 120)}</summary>
        <pre className="mt-2 max-h-64 overflow-auto rounded-md bg-sunken p-2 font-mono text-xs break-all whitespace-pre-wrap">
          {message}
        </pre>
      </details>
    ),
  },
];

const READ_MS = 15_000;

export function RejectsPage() {
  useTitle("Ingest rejects");
  const list = useList<Reject>("/admin/ingest/rejects", "rejects", { limit: 100 }, { refetchInterval: READ_MS });
  return (
    <>
      <PageHeader
        title="Ingest rejects"
        below={<p className="text-sm text-muted">Rejected ingest messages</p>}
      />
      <PageBody>
        <ListState list={list}>
          {({ rows }) => (
            <Table
              label="Ingest rejects"
              columns={COLUMNS}
              rows={rows}
              keyOf={({ id }) => String(id)}
              empty={<Empty icon={<FileWarning />} title="Nothing was rejected" />}
            />
          )}
        </ListState>
      </PageBody>
    </>
  );
}
