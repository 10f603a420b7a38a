import { Send } from "lucide-react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { ListState } from "../design/ListState";
import { Empty } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { useList } from "../session/useList";

type Delivery = Schema<"Delivery">;

const TONES = { delivered: "ok", failed: "bad", pending: "warn" } as const;
const REFRESH_MS = 3000;

/** What was sent to a webhook lately, and what is to be sent again. */
export function Deliveries({ path, hook, onClose }: { path: string; hook: Schema<"Webhook">; onClose: () => void }) {
  const say = useToast();
  const list = useList<Delivery>(
    `${path}/${hook.id}/deliveries`,
    "deliveries",
    { limit: 50 },
    { refetchInterval: REFRESH_MS },
  );
  const again = async (id: string): Promise<void> => {
    try {
      await client.http.json("POST", `/deliveries/${id}/redeliver`);
      await list.refetch();
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const columns: readonly TableColumn<Delivery>[] = [
    { title: "Event", className: "font-medium", cell: ({ type, event_id: id }) => `${type} #${id}` },
    {
      title: "State",
      cell: ({ state, error }) => (
        <span title={error ?? undefined}>
          <Badge tone={TONES[state as keyof typeof TONES] ?? "idle"}>{state}</Badge>
        </span>
      ),
    },
    { title: "Attempts", className: "text-muted", cell: ({ attempts, status }) => (status ? `${attempts} (${status})` : attempts) },
    { title: "Created", className: "text-muted", cell: ({ created_at: at }) => <Ago at={at} /> },
    {
      title: "",
      className: "text-right",
      cell: ({ id }) => (
        <Button size="sm" onClick={() => void again(id)}>
          Send again
        </Button>
      ),
    },
  ];
  return (
    <Dialog open wide onClose={onClose} title="Deliveries" description={hook.url}>
      <ListState list={list}>
        {({ rows }) => (
          <Table
            label="Deliveries"
            columns={columns}
            rows={rows}
            keyOf={({ id }) => id}
            empty={<Empty icon={<Send />} title="Nothing was sent yet" />}
          />
        )}
      </ListState>
    </Dialog>
  );
}
