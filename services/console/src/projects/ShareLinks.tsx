import { Link2 } from "lucide-react";
import { useState } from "react";
import { AskButton } from "../design/AskButton";
import { ListSection } from "../design/ListSection";
import type { TableColumn } from "../design/Table";
import { Ago, DateOf } from "../design/Time";
import { shortId } from "../design/format";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";
import { NewShareLink } from "./NewShareLink";

type ShareLink = Schema<"ShareLink">;

/** The links that show the project, or one run of it, without an account. */
export function ShareLinks() {
  const project = useProject();
  const [creating, setCreating] = useState(false);
  const list = useList<ShareLink>(`/projects/${project.id}/share-links`, "share_links", { limit: 500 });
  const columns: readonly TableColumn<ShareLink>[] = [
    {
      title: "Shows",
      className: "font-medium",
      cell: ({ run_id: run }) => (run ? `Run ${shortId(run)}` : "The whole project"),
    },
    { title: "Created", className: "text-muted", cell: ({ created_at: at }) => <Ago at={at} /> },
    { title: "Last opened", className: "text-muted", cell: ({ last_used_at: at }) => <Ago at={at} /> },
    { title: "Expires", className: "text-muted", cell: ({ expires_at: at }) => <DateOf at={at} /> },
    {
      title: "",
      className: "text-right",
      cell: ({ id }) => (
        <AskButton
          look="danger"
          title="Revoke this link?"
          text="The link stops working immediately."
          action="Revoke"
          onConfirm={async () => {
            await client.http.send("DELETE", `/share-links/${id}`);
            await list.refetch();
          }}
        />
      ),
    },
  ];
  return (
    <ListSection
      title="Share links"
      hint="Read-only access without an account"
      list={list}
      columns={columns}
      keyOf={({ id }) => id}
      empty={{ icon: <Link2 />, title: "No share links yet" }}
      add={{ text: "New link", onAdd: () => setCreating(true) }}
    >
      <NewShareLink open={creating} onClose={() => setCreating(false)} runId={null} onMade={() => void list.refetch()} />
    </ListSection>
  );
}
