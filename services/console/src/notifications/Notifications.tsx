import { BellRing, MonitorSmartphone, Plus } from "lucide-react";
import { useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { ListState } from "../design/ListState";
import { Empty, Section } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import { browserText } from "../account/browser";
import { NewTarget } from "./NewTarget";
import { RuleForm } from "./RuleForm";
import { subscribe, whyNot } from "./push";
import { type Change, type Settings, type Target, firstRule, freeId, test, useSave, useSettings, withRule, withTarget, withoutTarget } from "./settings";

/** What the person is told where they are, and where. */
export function Notifications() {
  const settings = useSettings();
  return <ListState list={settings}>{(found) => <Loaded settings={found} />}</ListState>;
}

function Loaded({ settings }: { settings: Settings }) {
  const save = useSave();
  const say = useToast();
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  return (
    <>
      <Targets settings={settings} attempt={attempt} save={save} />
      {settings.targets.length > 0 && (
        <Section
          title="Rules"
          hint="What you are told, once it has lasted"
          actions={
            <Button
              icon={<Plus />}
              onClick={() =>
                void attempt(() => save(({ rules, targets }) => ({ rules: [...rules, firstRule(targets[0]?.id ?? "")] })))
              }
            >
              Add a rule
            </Button>
          }
        >
          {settings.rules.map((rule, place) => (
            <RuleForm
              key={`${place} ${settings.rules.length}`}
              rule={rule}
              targets={settings.targets}
              onSave={(changed) => save((now) => withRule(now, rule, changed))}
              onRemove={() => attempt(() => save((now) => withRule(now, rule, null)))}
            />
          ))}
          <label className="flex items-center gap-2 text-sm">
            <input
              type="checkbox"
              checked={settings.details}
              onChange={({ target: { checked } }) => void attempt(() => save(() => ({ details: checked })))}
            />
            Include what is asked in messages, which pass through other people’s servers
          </label>
        </Section>
      )}
    </>
  );
}

interface TargetsProps {
  settings: Settings;
  save: (change: Change) => Promise<void>;
  attempt: (work: () => Promise<void>) => Promise<void>;
}

function Targets({ settings, save, attempt }: TargetsProps) {
  const say = useToast();
  const [adding, setAdding] = useState(false);
  const obstacle = whyNot();
  const addBrowser = async (): Promise<void> => {
    const subscription = await subscribe(settings.server.push_key);
    const name = browserText(navigator.userAgent);
    await save((now) => {
      const id = freeId(now.targets, "browser");
      return withTarget(now, { id, kind: "webpush", name, url: null, token: null, subscription });
    });
    say("This browser is told from now on");
  };
  const columns: readonly TableColumn<Target>[] = [
    { title: "Name", className: "font-medium break-all", cell: ({ name, id }) => name ?? id },
    { title: "By", className: "text-muted", cell: ({ kind }) => WAYS[kind] },
    { title: "State", cell: ({ id }) => <State state={settings.server.targets[id]} /> },
    {
      title: "",
      className: "text-right",
      cell: ({ id }) => (
        <span className="inline-flex flex-wrap justify-end gap-2">
          <Button
            size="sm"
            onClick={() =>
              void attempt(async () => {
                const tested = await test(id);
                say(tested.delivered ? "Sent" : `Not sent: ${tested.error ?? ""}`, tested.delivered ? "ok" : "bad");
              })
            }
          >
            Test
          </Button>
          <Confirm
            title="Remove this target?"
            text="Nothing is sent there any more."
            action="Remove"
            onConfirm={() => save((now) => withoutTarget(now, id))}
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
      title="Notifications"
      hint="When an agent waits for you, or a run has failed"
      actions={
        <>
          <Button
            icon={<MonitorSmartphone />}
            disabled={obstacle !== null}
            {...(obstacle && { title: obstacle })}
            onClick={() => void attempt(addBrowser)}
          >
            This browser
          </Button>
          <Button icon={<Plus />} onClick={() => setAdding(true)}>
            Add a target
          </Button>
        </>
      }
    >
      <Table
        label="Targets"
        columns={columns}
        rows={settings.targets}
        keyOf={({ id }) => id}
        empty={
          <Empty icon={<BellRing />} title="You are told nothing yet">
            Add your phone (ntfy){settings.server.has_apprise ? ", this browser or a chat (Apprise)" : " or this browser"}.
          </Empty>
        }
      />
      <NewTarget settings={settings} open={adding} onClose={() => setAdding(false)} />
    </Section>
  );
}

const WAYS: Readonly<Record<Target["kind"], string>> = { ntfy: "ntfy", webpush: "Web Push", apprise: "Apprise" };

function State({ state }: { state: Settings["server"]["targets"][string] | undefined }) {
  if (state?.disabled_reason) return <Badge tone="idle">off: {state.disabled_reason}</Badge>;
  if (!state?.failing_since) return <Badge tone="ok">on</Badge>;
  return (
    <span title={state.error ?? ""}>
      <Badge tone="bad">
        failing since <Ago at={state.failing_since} />
      </Badge>
    </span>
  );
}
