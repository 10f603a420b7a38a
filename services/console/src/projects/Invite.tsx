import type { Project } from "@runcast/client";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input, Select } from "../design/Field";
import { Secret } from "../design/Secret";
import { FormError, useForm } from "../design/useForm";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { ROLES } from "./roles";

interface InviteProps {
  open: boolean;
  onClose: () => void;
  /** The project that a person is invited to; null invites to the server alone. */
  project: Project | null;
}

/** Makes a link with which one person joins a project, or the server. */
export function Invite({ open, onClose, project }: InviteProps) {
  const queries = useQueryClient();
  const form = useForm();
  const [url, setUrl] = useState<string | null>(null);
  const submit = form.submit(async (value) => {
    const body = { email: value("email"), ...(project && { project: project.id, role: value("role") }) };
    const { data } = await client.http.json<Schema<"InvitationMade">>("POST", "/invitations", { body });
    setUrl(data.url);
    await queries.invalidateQueries({ queryKey: ["list", "/invitations"] });
  });
  const close = (): void => {
    setUrl(null);
    form.clear();
    onClose();
  };
  return (
    <Dialog open={open} onClose={close} title={`Invite someone to ${project?.name ?? "this server"}`}>
      {url ? (
        <Secret label="Send this link to the person you’re inviting." value={url} />
      ) : (
        <form onSubmit={submit} className="flex flex-col gap-4">
          <Field label="Email" error={form.errorOf("email")}>
            {(ids) => <Input {...ids} name="email" type="email" required autoFocus />}
          </Field>
          {project && (
            <Field label="Role">
              {(ids) => (
                <Select {...ids} name="role" defaultValue="viewer">
                  {ROLES.map(([role, text]) => (
                    <option key={role} value={role}>
                      {text}
                    </option>
                  ))}
                </Select>
              )}
            </Field>
          )}
          <FormError form={form} />
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button look="primary" type="submit" busy={form.busy}>
              Create invite link
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
