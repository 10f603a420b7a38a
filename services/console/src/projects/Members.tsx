import type { Role } from "@runcast/client";
import { UserPlus, Users } from "lucide-react";
import { useState } from "react";
import { AskButton } from "../design/AskButton";
import { Select } from "../design/Field";
import { ListSection } from "../design/ListSection";
import type { TableColumn } from "../design/Table";
import { useToast } from "../design/Toasts";
import { client } from "../session/session";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";
import { Invite } from "./Invite";
import { ROLES } from "./roles";
import type { Schema } from "../session/schemas";

type Member = Schema<"Member">;

export function Members({ canChange }: { canChange: boolean }) {
  const project = useProject();
  const say = useToast();
  const [inviting, setInviting] = useState(false);
  const path = `/projects/${project.id}/members`;
  const list = useList<Member>(path, "members", { limit: 500 });
  const setRole = (member: Member, role: Role): void => {
    client.http
      .send("PUT", `${path}/${member.user_id}`, { body: { role } })
      .then(() => list.refetch())
      .catch((error: unknown) => say((error as Error).message, "bad"));
  };
  const columns: readonly TableColumn<Member>[] = [
    {
      title: "Name",
      cell: ({ name, email }) => (
        <>
          <p className="font-medium">{name}</p>
          <p className="text-xs text-muted">{email}</p>
        </>
      ),
    },
    {
      title: "Role",
      cell: (member) =>
        canChange ? (
          <Select
            size="sm"
            aria-label={`Role of ${member.name}`}
            className="w-auto!"
            value={member.role}
            onChange={({ target }) => setRole(member, target.value as Role)}
          >
            {ROLES.map(([role, text]) => (
              <option key={role} value={role}>
                {text}
              </option>
            ))}
          </Select>
        ) : (
          <span className="capitalize">{member.role}</span>
        ),
    },
    {
      title: "",
      className: "text-right",
      cell: (member) =>
        canChange && (
          <AskButton
            title={`Remove ${member.name}?`}
            text="They will lose access immediately, and their streams are closed."
            action="Remove"
            onConfirm={async () => {
              await client.http.send("DELETE", `${path}/${member.user_id}`);
              await list.refetch();
            }}
          />
        ),
    },
  ];
  return (
    <ListSection
      title="Members"
      list={list}
      columns={columns}
      keyOf={({ user_id: id }) => id}
      empty={{ icon: <Users />, title: "No members yet. Only administrators have access." }}
      add={canChange && { text: "Invite", icon: <UserPlus />, onAdd: () => setInviting(true) }}
    >
      <Invite open={inviting} onClose={() => setInviting(false)} project={project} />
    </ListSection>
  );
}
