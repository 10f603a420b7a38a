import { KeyRound } from "lucide-react";
import { useState } from "react";
import { AskButton } from "../design/AskButton";
import { Badge } from "../design/Badge";
import { ListSection } from "../design/ListSection";
import { Secret } from "../design/Secret";
import type { TableColumn } from "../design/Table";
import { Ago, DateOf } from "../design/Time";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";
import { NewKey } from "./NewKey";

type Key = Schema<"Key">;

/** The project's keys, by which programs are let in. */
export function Keys() {
  const project = useProject();
  const [creating, setCreating] = useState(false);
  const [rotated, setRotated] = useState<string | null>(null);
  const list = useList<Key>(`/projects/${project.id}/keys`, "keys", { limit: 500 });
  const columns: readonly TableColumn<Key>[] = [
    { title: "Name", className: "font-medium", cell: ({ name }) => name },
    {
      title: "Rights",
      cell: ({ role, scopes }) => (
        <span className="flex flex-wrap gap-1">
          <Badge className="capitalize">{role ?? "admin"}</Badge>
          {scopes.map((scope) => (
            <Badge key={scope} tone="accent">
              {scope}
            </Badge>
          ))}
        </span>
      ),
    },
    { title: "Last used", className: "text-muted", cell: ({ last_used_at: at }) => <Ago at={at} /> },
    { title: "Expires", className: "text-muted", cell: ({ expires_at: at }) => <DateOf at={at} /> },
    {
      title: "",
      className: "text-right whitespace-nowrap",
      cell: (key) => (
        <span className="inline-flex gap-2">
          <AskButton
            title={`Rotate ${key.name}?`}
            text="This creates a new key. The old one works for one more hour."
            action="Rotate"
            onConfirm={async () => {
              const made = await client.http.json<Schema<"KeyMade">>("POST", `/keys/${key.id}/rotate`, { body: {} });
              setRotated(made.data.token);
              await list.refetch();
            }}
          />
          <AskButton
            look="danger"
            title={`Revoke ${key.name}?`}
            text="Programs that use it lose access immediately, and their streams are closed."
            action="Revoke"
            onConfirm={async () => {
              await client.http.send("DELETE", `/keys/${key.id}`);
              await list.refetch();
            }}
          />
        </span>
      ),
    },
  ];
  return (
    <ListSection
      title="API keys"
      hint="For agents, workers and scripts"
      list={list}
      columns={columns}
      keyOf={({ id }) => id}
      empty={{ icon: <KeyRound />, title: "No keys yet" }}
      add={{ text: "New key", onAdd: () => setCreating(true) }}
      above={rotated && <Secret label="The new key." value={rotated} />}
    >
      <NewKey open={creating} onClose={() => setCreating(false)} onMade={() => void list.refetch()} />
    </ListSection>
  );
}
