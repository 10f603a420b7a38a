import { Link2, Plus } from "lucide-react";
import { useState } from "react";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { ListState } from "../design/ListState";
import { Secret } from "../design/Secret";
import { Empty, Section } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import { shortId } from "../design/format";
import { client } from "../session/session";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";

interface ShareLink {
  id: string;
  run_id: string | null;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export function ShareLinks({ canChange }: { canChange: boolean }) {
  const project = useProject();
  const say = useToast();
  const [busy, setBusy] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const list = useList<ShareLink>(
    `/projects/${project.id}/share-links`,
    "share_links",
    { limit: 500 },
    { enabled: canChange },
  );
  if (!canChange) return null;
  const create = async (): Promise<void> => {
    setBusy(true);
    try {
      const path = `/projects/${project.id}/share-links`;
      const { data } = await client.http.json<{ url: string }>("POST", path, { body: {} });
      setMade(data.url);
      await list.refetch();
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(false);
    }
  };
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
        <Button icon={<Plus />} busy={busy} onClick={() => void create()}>
          New link
        </Button>
      }
    >
      {made && <Secret label="Anyone with this link can view this project." value={made} />}
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
    </Section>
  );
}
