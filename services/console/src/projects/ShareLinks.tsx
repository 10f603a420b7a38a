import { Link2, Plus } from "lucide-react";
import { useState } from "react";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { ListState } from "../design/ListState";
import { Empty, Section } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { shortId } from "../design/format";
import { client } from "../session/session";
import { NewShareLink } from "./NewShareLink";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";
import type { Schema } from "../session/schemas";

type ShareLink = Schema<"ShareLink">;

export function ShareLinks({ canChange }: { canChange: boolean }) {
  const project = useProject();
  const [creating, setCreating] = useState(false);
  const list = useList<ShareLink>(
    `/projects/${project.id}/share-links`,
    "share_links",
    { limit: 500 },
    { enabled: canChange },
  );
  if (!canChange) return null;
  const columns: readonly TableColumn<ShareLink>[] = [
    {
      title: "Shows",
      className: "font-medium",
      cell: ({ run_id: run }) => (run ? `Run ${shortId(run)}` : "The whole project"),
    },
    { title: "Created", className: "text-muted", cell: ({ created_at: at }) => <Ago at={at} /> },
    { title: "Opened", className: "text-muted", cell: ({ last_used_at: at }) => <Ago at={at} /> },
    {
      title: "Expires",
      className: "text-muted",
      cell: ({ expires_at: at }) => (at ? new Date(at).toLocaleDateString() : "never"),
    },
    {
      title: "",
      className: "text-right",
      cell: ({ id }) => (
        <Confirm
          title="Revoke this link?"
          text="The link stops working immediately."
          action="Revoke"
          onConfirm={async () => {
            await client.http.send("DELETE", `/share-links/${id}`);
            await list.refetch();
          }}
        >
          {(ask) => (
            <Button size="sm" look="danger" onClick={ask}>
              Revoke
            </Button>
          )}
        </Confirm>
      ),
    },
  ];
  return (
    <Section
      title="Share links"
      hint="Read-only access without an account"
      actions={
        <Button icon={<Plus />} onClick={() => setCreating(true)}>
          New link
        </Button>
      }
    >
      <ListState list={list}>
        {({ rows }) => (
          <Table
            label="Share links"
            columns={columns}
            rows={rows}
            keyOf={({ id }) => id}
            empty={<Empty icon={<Link2 />} title="No share links yet" />}
          />
        )}
      </ListState>
      <NewShareLink open={creating} onClose={() => setCreating(false)} runId={null} onMade={() => void list.refetch()} />
    </Section>
  );
}
