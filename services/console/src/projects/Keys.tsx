import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { Dialog } from "../design/Dialog";
import { Field, Input, Select } from "../design/Field";
import { ListState } from "../design/ListState";
import { Secret } from "../design/Secret";
import { Empty, Section } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";
import { ROLES } from "./roles";
import { FormError, useForm } from "../design/useForm";
import type { Schema } from "../session/schemas";

type Key = Schema<"Key">;

export function Keys({ canChange }: { canChange: boolean }) {
  const project = useProject();
  const [creating, setCreating] = useState(false);
  const [rotated, setRotated] = useState<string | null>(null);
  const list = useList<Key>(
    `/projects/${project.id}/keys`,
    "keys",
    { limit: 500 },
    { enabled: canChange },
  );
  if (!canChange) return null;
  const columns: readonly TableColumn<Key>[] = [
    { title: "Name", className: "font-medium", cell: ({ name }) => name },
    {
      title: "Rights",
      cell: ({ role, scopes }) => (
        <span className="flex flex-wrap gap-1">
          <Badge>{role ?? "admin"}</Badge>
          {scopes.map((scope) => (
            <Badge key={scope} tone="accent">
              {scope}
            </Badge>
          ))}
        </span>
      ),
    },
    { title: "Last used", className: "text-muted", cell: ({ last_used_at: at }) => <Ago at={at} /> },
    {
      title: "Expires",
      className: "text-muted",
      cell: ({ expires_at: at }) => (at ? new Date(at).toLocaleDateString() : "never"),
    },
    {
      title: "",
      className: "text-right whitespace-nowrap",
      cell: (key) => (
        <span className="inline-flex gap-2">
          <Confirm
            title={`Rotate ${key.name}?`}
            text="A new key is made; the old one works for one more hour."
            action="Rotate"
            onConfirm={async () => {
              const { data } = await client.http.json<Schema<"KeyMade">>("POST", `/keys/${key.id}/rotate`, { body: {} });
              setRotated(data.token);
              await list.refetch();
            }}
          >
            {(ask) => (
              <Button size="sm" onClick={ask}>
                Rotate
              </Button>
            )}
          </Confirm>
          <Confirm
            title={`Revoke ${key.name}?`}
            text="What uses it is refused at once; its open streams end."
            action="Revoke"
            onConfirm={async () => {
              await client.http.send("DELETE", `/keys/${key.id}`);
              await list.refetch();
            }}
          >
            {(ask) => (
              <Button size="sm" look="danger" onClick={ask}>
                Revoke
              </Button>
            )}
          </Confirm>
        </span>
      ),
    },
  ];
  return (
    <Section
      title="API keys"
      hint="For agents, workers and scripts"
      actions={
        <Button icon={<Plus />} onClick={() => setCreating(true)}>
          New key
        </Button>
      }
    >
      {rotated && <Secret label="The new key." value={rotated} />}
      <ListState list={list}>
        {({ rows }) => (
          <Table
            label="API keys"
            columns={columns}
            rows={rows}
            keyOf={({ id }) => id}
            empty={<Empty icon={<KeyRound />} title="No key yet" />}
          />
        )}
      </ListState>
      <NewKey open={creating} onClose={() => setCreating(false)} onMade={() => void list.refetch()} />
    </Section>
  );
}

function NewKey({ open, onClose, onMade }: { open: boolean; onClose: () => void; onMade: () => void }) {
  const project = useProject();
  const me = useMe();
  const form = useForm();
  const [token, setToken] = useState<string | null>(null);
  const submit = form.submit(async (value) => {
    const until = value("expires_at");
    const { data } = await client.http.json<Schema<"KeyMade">>("POST", `/projects/${project.id}/keys`, {
      body: {
        name: value("name"),
        role: value("role"),
        ...(value("worker") && { scopes: ["worker"] }),
        ...(until && { expires_at: new Date(until).toISOString() }),
      },
    });
    setToken(data.token);
    onMade();
  });
  const close = (): void => {
    setToken(null);
    form.clear();
    onClose();
  };
  return (
    <Dialog open={open} onClose={close} title="New API key">
      {token ? (
        <Secret label="API key" value={token} />
      ) : (
        <form onSubmit={submit} className="flex flex-col gap-4">
          <Field label="Name" error={form.errorOf("name")}>
            {(ids) => <Input {...ids} name="name" required maxLength={200} autoFocus />}
          </Field>
          <Field label="Role">
            {(ids) => (
              <Select {...ids} name="role" defaultValue="reporter">
                {ROLES.map(([role, text]) => (
                  <option key={role} value={role}>
                    {text}
                  </option>
                ))}
              </Select>
            )}
          </Field>
          <Field label="Expires" error={form.errorOf("expires_at")} hint="Leave empty for no expiry.">
            {(ids) => <Input {...ids} name="expires_at" type="date" />}
          </Field>
          {me.isAdmin && (
            <label className="flex items-center gap-2 text-sm">
              <input type="checkbox" name="worker" /> May report on the runtime (scope “worker”)
            </label>
          )}
          <FormError form={form} />
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button look="primary" type="submit" busy={form.busy}>
              Create
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
