import type { Project } from "@runcast/client";
import { useQueryClient } from "@tanstack/react-query";
import { Field, Input } from "../design/Field";
import { type NewSecretProps, SecretDialog } from "../design/SecretDialog";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { RoleField } from "./RoleField";

interface InviteProps extends NewSecretProps {
  /** The project that a person is invited to; null invites to the server alone. */
  project: Project | null;
}

/** Makes a link with which one person joins a project, or the server. */
export function Invite({ project, ...dialog }: InviteProps) {
  const queries = useQueryClient();
  return (
    <SecretDialog
      {...dialog}
      title={`Invite someone to ${project?.name ?? "this server"}`}
      action="Create invite link"
      label="Send this link to the person you’re inviting."
      make={async (value) => {
        const body = { email: value("email"), ...(project && { project: project.id, role: value("role") }) };
        const { data } = await client.http.json<Schema<"InvitationMade">>("POST", "/invitations", { body });
        await queries.invalidateQueries({ queryKey: ["list", "/invitations"] });
        return data.url;
      }}
    >
      {(form) => (
        <>
          <Field label="Email" error={form.errorOf("email")}>
            {(ids) => <Input {...ids} name="email" type="email" required autoFocus />}
          </Field>
          {project && <RoleField initial="viewer" />}
        </>
      )}
    </SecretDialog>
  );
}
