import { type Run, TERMINAL } from "@runcast/client";
import { Ban, FlaskConical, GitCompare, Hash, Link2, MoreHorizontal, RotateCcw, Share2, SquarePen } from "lucide-react";
import { useState } from "react";
import { Button, IconButton } from "../design/Button";
import { useToast } from "../design/Toasts";
import { Menu, MenuItem, MenuLine } from "../design/Menu";
import { copyText } from "../design/clipboard";
import { NewRun } from "../projects/NewRun";
import { NewShareLink } from "../projects/NewShareLink";
import { can } from "../projects/roles";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { usePageCommands } from "../shell/commands";
import { useProject } from "../shell/ProjectScope";
import { CompareWith } from "./CompareWith";
import { useOpenRun } from "./RunLink";
import { inputText } from "./names";

type Opened = "share" | "again" | "compare" | null;

/** What may be done with a run, by the role that you have. */
export function RunActions({ run }: { run: Run }) {
  const project = useProject();
  const me = useMe();
  const open = useOpenRun();
  const say = useToast();
  const [busy, setBusy] = useState<string | null>(null);
  const [opened, setOpened] = useState<Opened>(null);
  const close = (): void => setOpened(null);
  const act = async (name: string, action: () => Promise<string>): Promise<void> => {
    setBusy(name);
    try {
      say(await action());
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(null);
    }
  };
  const cancel = async (): Promise<string> => {
    await client.cancelRun(run.id);
    return "The run is cancelled";
  };
  const retry = async (): Promise<string> => {
    const { data } = await client.retryRun(run.id);
    await open(data);
    return `Attempt ${data.attempt} is queued`;
  };
  const demo = async (): Promise<string> => {
    await client.startDemo(run.id);
    return "Demo started";
  };
  const copy = (text: string, what: string) => () =>
    void act("copy", async () => {
      await copyText(text);
      return `Copied ${what}`;
    });
  const isOver = TERMINAL.has(run.status);
  const mayRetry = can(project.role, "retry");
  const isGuest = me.kind === "share";
  const mayCancel = can(project.role, "cancel") && !isOver;
  usePageCommands([
    mayCancel && { text: "Cancel this run", run: () => void act("cancel", cancel) },
    mayRetry && isOver && { text: "Retry this run", run: () => void act("retry", retry) },
    can(project.role, "share") && { text: "Share this run", run: () => setOpened("share") },
    can(project.role, "report") && { text: "Run again with changes", run: () => setOpened("again") },
    !isGuest && { text: "Compare this run", run: () => setOpened("compare") },
  ]);
  const address = `${location.origin}/ui/projects/${project.slug}/runs/${run.number}`;
  return (
    <>
      {can(project.role, "share") && (
        <IconButton label="Share this run" icon={<Share2 />} onClick={() => setOpened("share")} />
      )}
      {!isGuest && (
        <Menu
          trigger={
            <button
              type="button"
              aria-label="More actions"
              className="inline-flex size-8 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-fg [&_svg]:size-4"
            >
              <MoreHorizontal />
            </button>
          }
        >
          {can(project.role, "report") && (
            <MenuItem icon={<SquarePen />} onSelect={() => setOpened("again")}>
              Run again with changes…
            </MenuItem>
          )}
          <MenuItem icon={<GitCompare />} onSelect={() => setOpened("compare")}>
            Compare with…
          </MenuItem>
          {can(project.role, "demo") && !isOver && run.started_at === null && (
            <MenuItem icon={<FlaskConical />} onSelect={() => void act("demo", demo)}>
              Play a demo
            </MenuItem>
          )}
          <MenuLine />
          <MenuItem icon={<Link2 />} onSelect={copy(address, "a link to this run")}>
            Copy link
          </MenuItem>
          <MenuItem icon={<Hash />} onSelect={copy(run.id, "the ID")}>
            Copy ID
          </MenuItem>
        </Menu>
      )}
      {mayRetry && isOver && (
        <Button icon={<RotateCcw />} busy={busy === "retry"} onClick={() => void act("retry", retry)}>
          Retry
        </Button>
      )}
      {mayCancel && (
        <Button look="danger" icon={<Ban />} busy={busy === "cancel"} onClick={() => void act("cancel", cancel)}>
          Cancel
        </Button>
      )}
      <NewShareLink runId={run.id} open={opened === "share"} onClose={close} />
      <CompareWith run={run} open={opened === "compare"} onClose={close} />
      {opened === "again" && (
        <NewRun
          open
          title="Run again with changes"
          initial={{ name: run.name ?? "", input: inputText(run.input) }}
          onClose={close}
          onStarted={(made) => void open(made)}
        />
      )}
    </>
  );
}
