import { serverNow } from "../design/clock";
import { Field, Select } from "../design/Field";
import { type NewSecretProps, SecretDialog } from "../design/SecretDialog";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";

const DAY_MS = 86_400_000;
const EXPIRIES = [
  ["1", "In a day"],
  ["7", "In 7 days"],
  ["30", "In 30 days"],
  ["", "Never"],
] as const;

interface NewShareLinkProps extends NewSecretProps {
  /** The run that the link shows; null for the whole project. */
  runId: string | null;
  onMade?: () => void;
}

/** A link that shows a run, or a whole project, to anyone who has it. */
export function NewShareLink({ runId, onMade, ...dialog }: NewShareLinkProps) {
  const project = useProject();
  return (
    <SecretDialog
      {...dialog}
      title={runId ? "Share this run" : "New share link"}
      description={
        runId
          ? "Anyone with the link can read this run, its log and its artifacts, and nothing else."
          : "Anyone with the link can read everything in this project, without an account."
      }
      action="Create link"
      label={`Anyone with this link can view this ${runId ? "run" : "project"}.`}
      make={async (value) => {
        const days = Number(value("expires_at"));
        const expires = days > 0 ? { expires_at: new Date(serverNow() + days * DAY_MS).toISOString() } : {};
        const body = { ...(runId && { run_id: runId }), ...expires };
        const path = `/projects/${project.id}/share-links`;
        const { data } = await client.http.json<Schema<"ShareLinkMade">>("POST", path, { body });
        onMade?.();
        return data.url;
      }}
    >
      {(form) => (
        <Field label="Link expires" error={form.errorOf("expires_at")}>
          {(ids) => (
            <Select {...ids} name="expires_at" defaultValue="7">
              {EXPIRIES.map(([days, text]) => (
                <option key={days} value={days}>
                  {text}
                </option>
              ))}
            </Select>
          )}
        </Field>
      )}
    </SecretDialog>
  );
}
