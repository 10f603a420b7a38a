import { Field, Input } from "../design/Field";
import { type NewSecretProps, SecretDialog } from "../design/SecretDialog";
import type { Schema } from "../session/schemas";
import { useMe } from "../session/SessionProvider";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";
import { RoleField } from "./RoleField";

/** Makes a key of the project, for a program. */
export function NewKey({ onMade, ...dialog }: NewSecretProps & { onMade: () => void }) {
  const project = useProject();
  const me = useMe();
  return (
    <SecretDialog
      {...dialog}
      title="New API key"
      action="Create"
      label="API key"
      make={async (value) => {
        const until = value("expires_at");
        const { data } = await client.http.json<Schema<"KeyMade">>("POST", `/projects/${project.id}/keys`, {
          body: {
            name: value("name"),
            role: value("role"),
            ...(value("worker") && { scopes: ["worker"] }),
            // A key works through its last day.
            ...(until && { expires_at: new Date(`${until}T23:59:59`).toISOString() }),
          },
        });
        onMade();
        return data.token;
      }}
    >
      {(form) => (
        <>
          <Field label="Name" error={form.errorOf("name")}>
            {(ids) => <Input {...ids} name="name" required maxLength={200} autoFocus />}
          </Field>
          <RoleField initial="reporter" />
          <Field label="Expires" error={form.errorOf("expires_at")} hint="Leave empty for no expiry.">
            {(ids) => <Input {...ids} name="expires_at" type="date" />}
          </Field>
          {me.isAdmin && (
            <label className="flex items-center gap-2 text-sm">
              <input type="checkbox" name="worker" /> May report on the runtime (scope “worker”)
            </label>
          )}
        </>
      )}
    </SecretDialog>
  );
}
