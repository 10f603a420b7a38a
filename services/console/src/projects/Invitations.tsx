import { AskButton } from "../design/AskButton";
import { Badge } from "../design/Badge";
import { Section } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago, DateOf } from "../design/Time";
import { client } from "../session/session";
import type { Schema } from "../session/schemas";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";

type Invitation = Schema<"Invitation">;

/** The invitations to this project that are still open. */
export function Invitations({ canChange }: { canChange: boolean }) {
  const project = useProject();
  const list = useList<Invitation>("/invitations", "invitations", { limit: 500 }, { enabled: canChange });
  const pending = (list.data?.rows ?? []).filter(
    ({ project_id: id, accepted_at: accepted }) => id === project.id && accepted === null,
  );
  if (!canChange || pending.length === 0) return null;
  const columns: readonly TableColumn<Invitation>[] = [
    {
      title: "Email",
      cell: ({ email, is_confirmed: isConfirmed }) => (
        <span className="flex items-center gap-2 font-medium">
          {email} {!isConfirmed && <Badge tone="warn">Needs an administrator’s confirmation</Badge>}
        </span>
      ),
    },
    { title: "Role", className: "capitalize", cell: ({ role }) => role ?? "–" },
    { title: "Created", className: "text-muted", cell: ({ created_at: at }) => <Ago at={at} /> },
    { title: "Expires", className: "text-muted", cell: ({ expires_at: at }) => <DateOf at={at} /> },
    {
      title: "",
      className: "text-right",
      cell: ({ id, email }) => (
        <AskButton
          look="danger"
          title={`Revoke the invitation of ${email}?`}
          text="The link stops working immediately."
          action="Revoke"
          onConfirm={async () => {
            await client.http.send("DELETE", `/invitations/${id}`);
            await list.refetch();
          }}
        />
      ),
    },
  ];
  return (
    <Section title="Pending invitations">
      <Table label="Pending invitations" columns={columns} rows={pending} keyOf={({ id }) => id} empty={null} />
    </Section>
  );
}
