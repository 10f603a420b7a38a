import { useState } from "react";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input } from "../design/Field";
import { Secret } from "../design/Secret";
import { FormError, useForm } from "../design/useForm";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";

interface NewWebhookProps {
  open: boolean;
  onClose: () => void;
  onMade: () => void;
}

/** An address that gets the project's events, and the secret by which it knows that they are ours. */
export function NewWebhook({ open, onClose, onMade }: NewWebhookProps) {
  const project = useProject();
  const form = useForm();
  const [secret, setSecret] = useState<string | null>(null);
  const submit = form.submit(async (value) => {
    const types = value("types").split(/[\s,]+/).filter(Boolean);
    const { data } = await client.http.json<Schema<"WebhookMade">>("POST", `/projects/${project.id}/webhooks`, {
      body: { url: value("url"), types },
    });
    setSecret(data.secret);
    onMade();
  });
  const close = (): void => {
    setSecret(null);
    form.clear();
    onClose();
  };
  return (
    <Dialog
      open={open}
      onClose={close}
      title="New webhook"
      description="Events are sent as they happen from now on, signed as Standard Webhooks describes."
    >
      {secret ? (
        <Secret label="The receiver checks signatures with this secret." value={secret} />
      ) : (
        <form onSubmit={submit} className="flex flex-col gap-4">
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
          <FormError form={form} />
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button look="primary" type="submit" busy={form.busy}>
              Create webhook
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
