import { Webhook as Icon } from "lucide-react";
import { useState } from "react";
import { AskButton } from "../design/AskButton";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { ListSection } from "../design/ListSection";
import { Secret } from "../design/Secret";
import type { TableColumn } from "../design/Table";
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
export function Webhooks() {
  const project = useProject();
  const say = useToast();
  const [creating, setCreating] = useState(false);
  const [rotated, setRotated] = useState<string | null>(null);
  const [shown, setShown] = useState<Webhook | null>(null);
  const path = `/projects/${project.id}/webhooks`;
  const list = useList<Webhook>(path, "webhooks", { limit: 100 });
  const act = async (action: () => Promise<unknown>): Promise<void> => {
    try {
      await action();
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const test = async (hook: Webhook): Promise<void> => {
    const { data } = await client.http.json<Schema<"WebhookTested">>("POST", `${path}/${hook.id}/test`);
    say(data.delivered ? `Delivered in ${data.ms} ms` : `Not delivered: ${data.error}`, data.delivered ? "ok" : "bad");
  };
  const turn = async (hook: Webhook): Promise<void> => {
    await client.http.json("PATCH", `${path}/${hook.id}`, { body: { disabled: !hook.disabled } });
    await list.refetch();
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
          <Button size="sm" onClick={() => void act(() => test(hook))}>
            Test
          </Button>
          <Button size="sm" onClick={() => void act(() => turn(hook))}>
            {hook.disabled ? "Turn on" : "Turn off"}
          </Button>
          <AskButton
            title="Rotate the secret?"
            text="This creates a new secret. For one day, deliveries are signed with both."
            action="Rotate"
            onConfirm={async () => {
              const made = await client.http.json<Schema<"WebhookMade">>("POST", `${path}/${hook.id}/rotate`, { body: {} });
              setRotated(made.data.secret);
              await list.refetch();
            }}
          />
          <AskButton
            look="danger"
            title="Remove this webhook?"
            text="Nothing more is sent there, and deliveries that are still to be retried are dropped."
            action="Remove"
            onConfirm={async () => {
              await client.http.send("DELETE", `${path}/${hook.id}`);
              await list.refetch();
            }}
          />
        </span>
      ),
    },
  ];
  return (
    <ListSection
      title="Webhooks"
      hint="Sends this project's events to other programs"
      list={list}
      columns={columns}
      keyOf={({ id }) => id}
      empty={{ icon: <Icon />, title: "No webhooks yet" }}
      add={{ text: "New webhook", onAdd: () => setCreating(true) }}
      above={rotated && <Secret label="The new secret." value={rotated} />}
    >
      <NewWebhook open={creating} onClose={() => setCreating(false)} onMade={() => void list.refetch()} />
      {shown && <Deliveries path={path} hook={shown} onClose={() => setShown(null)} />}
    </ListSection>
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
