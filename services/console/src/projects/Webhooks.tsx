import { Plus, Webhook as Icon } from "lucide-react";
import { useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { ListState } from "../design/ListState";
import { Secret } from "../design/Secret";
import { Empty, Section } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useList } from "../session/useList";
import { useProject } from "../shell/ProjectScope";
import { Deliveries } from "./Deliveries";
import { NewWebhook } from "./NewWebhook";

type Webhook = Schema<"Webhook">;

/** Where the project's events are sent. */
export function Webhooks({ canChange }: { canChange: boolean }) {
  const project = useProject();
  const say = useToast();
  const [creating, setCreating] = useState(false);
  const [rotated, setRotated] = useState<string | null>(null);
  const [shown, setShown] = useState<Webhook | null>(null);
  const path = `/projects/${project.id}/webhooks`;
  const list = useList<Webhook>(path, "webhooks", { limit: 100 }, { enabled: canChange });
  if (!canChange) return null;

  const test = async (hook: Webhook): Promise<void> => {
    try {
      const { data } = await client.http.json<Schema<"WebhookTested">>("POST", `${path}/${hook.id}/test`);
      say(data.delivered ? `Delivered in ${data.ms} ms` : `Not delivered: ${data.error}`, data.delivered ? "ok" : "bad");
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const turn = async (hook: Webhook): Promise<void> => {
    try {
      await client.http.json("PATCH", `${path}/${hook.id}`, { body: { disabled: !hook.disabled } });
      await list.refetch();
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const columns: readonly TableColumn<Webhook>[] = [
    { title: "Address", className: "font-medium break-all", cell: ({ url }) => url },
    { title: "Events", className: "text-muted break-words", cell: ({ types }) => types.join(", ") },
    { title: "State", cell: (hook) => <State hook={hook} /> },
    {
      title: "",
      className: "text-right",
      cell: (hook) => (
        <span className="inline-flex flex-wrap justify-end gap-2">
          <Button size="sm" onClick={() => setShown(hook)}>
            Deliveries
          </Button>
          <Button size="sm" onClick={() => void test(hook)}>
            Test
          </Button>
          <Button size="sm" onClick={() => void turn(hook)}>
            {hook.disabled ? "Turn on" : "Turn off"}
          </Button>
          <Confirm
            title="Rotate the secret?"
            text="A new secret is made; for a day both sign what is sent."
            action="Rotate"
            onConfirm={async () => {
              const made = await client.http.json<Schema<"WebhookMade">>("POST", `${path}/${hook.id}/rotate`, { body: {} });
              setRotated(made.data.secret);
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
            title="Remove this webhook?"
            text="Nothing is sent there any more. What waits to be sent again is dropped."
            action="Remove"
            onConfirm={async () => {
              await client.http.send("DELETE", `${path}/${hook.id}`);
              await list.refetch();
            }}
          >
            {(ask) => (
              <Button size="sm" look="danger" onClick={ask}>
                Remove
              </Button>
            )}
          </Confirm>
        </span>
      ),
    },
  ];
  return (
    <Section
      title="Webhooks"
      hint="Sends this project's events to other programs"
      actions={
        <Button icon={<Plus />} onClick={() => setCreating(true)}>
          New webhook
        </Button>
      }
    >
      {rotated && <Secret label="The new secret." value={rotated} />}
      <ListState list={list}>
        {({ rows }) => (
          <Table
            label="Webhooks"
            columns={columns}
            rows={rows}
            keyOf={({ id }) => id}
            empty={<Empty icon={<Icon />} title="No webhooks yet" />}
          />
        )}
      </ListState>
      <NewWebhook open={creating} onClose={() => setCreating(false)} onMade={() => void list.refetch()} />
      {shown && <Deliveries path={path} hook={shown} onClose={() => setShown(null)} />}
    </Section>
  );
}

function State({ hook }: { hook: Webhook }) {
  if (hook.disabled_reason) return <Badge tone="idle">off: {hook.disabled_reason}</Badge>;
  if (!hook.failing_since) return <Badge tone="ok">on</Badge>;
  return (
    <Badge tone="bad">
      failing since <Ago at={hook.failing_since} />
    </Badge>
  );
}
