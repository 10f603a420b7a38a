import { Field, Input } from "../design/Field";
import { type NewSecretProps, SecretDialog } from "../design/SecretDialog";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";

/** An address that gets the project's events, and the secret by which it knows that they are ours. */
export function NewWebhook({ onMade, ...dialog }: NewSecretProps & { onMade: () => void }) {
  const project = useProject();
  return (
    <SecretDialog
      {...dialog}
      title="New webhook"
      description="Events are sent as they happen from now on, signed as Standard Webhooks describes."
      action="Create webhook"
      label="The receiver checks signatures with this secret."
      make={async (value) => {
        const types = value("types").split(/[\s,]+/).filter(Boolean);
        const { data } = await client.http.json<Schema<"WebhookMade">>("POST", `/projects/${project.id}/webhooks`, {
          body: { url: value("url"), types },
        });
        onMade();
        return data.secret;
      }}
    >
      {(form) => (
        <>
          <Field label="Address" error={form.errorOf("url")}>
            {(ids) => <Input {...ids} name="url" type="url" required placeholder="https://example.org/hook" />}
          </Field>
          <Field
            label="Events"
            hint="Separated by commas. run:status_changed:failed means that status alone, * all events."
            error={form.errorOf("types")}
          >
            {(ids) => (
              <Input {...ids} name="types" required defaultValue="question:asked, run:status_changed:failed" />
            )}
          </Field>
        </>
      )}
    </SecretDialog>
  );
}
