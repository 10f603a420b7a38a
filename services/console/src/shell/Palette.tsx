import * as Radix from "@radix-ui/react-dialog";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Box, ChartGantt, CornerDownLeft, Inbox, Keyboard, Moon, Play, Search, Settings, Shield, SquareKanban, Tv, User, Zap } from "lucide-react";
import { type ReactNode, useId, useMemo, useState } from "react";
import { cx } from "../design/classes";
import { shortId } from "../design/format";
import { wordOf } from "../design/Status";
import { addressOf } from "../runs/RunLink";
import { client } from "../session/session";
import { useProjects } from "../projects/useProjects";
import { useSettled } from "../design/useSettled";
import { useMe } from "../session/SessionProvider";
import { useOpenPageCommands } from "./commands";
import { toggleTheme } from "./theme";

interface Command {
  id: string;
  text: string;
  hint: string;
  icon: ReactNode;
  run: () => void;
}

interface PaletteProps {
  onClose: () => void;
  onShortcuts: () => void;
}

/** ⌘K: go anywhere, do anything, by typing a part of its name. */
export function Palette({ open, onClose, onShortcuts }: PaletteProps & { open: boolean }) {
  return (
    <Radix.Root open={open} onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 animate-fade bg-[light-dark(rgb(20_24_35/0.32),rgb(0_0_0/0.6))]" />
        <Radix.Content
          aria-describedby={undefined}
          className="fixed top-[14vh] left-1/2 z-40 w-[calc(100vw-2rem)] max-w-xl -translate-x-1/2 animate-rise overflow-hidden rounded-xl bg-raised shadow-pop"
        >
          <Radix.Title className="sr-only">Command palette</Radix.Title>
          <Content onClose={onClose} onShortcuts={onShortcuts} />
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

const MAX_SHOWN = 12;

/** What it means that nothing was found. */
const SEARCH_WORDS = { pending: "Searching…", failed: "Runs can’t be searched now", done: "No results" } as const;

function Content({ onClose, onShortcuts }: PaletteProps) {
  const id = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const { commands, search } = useCommands(text, onShortcuts);
  const found = useMemo(() => matching(commands, text).slice(0, MAX_SHOWN), [commands, text]);
  const choose = (command: Command | undefined): void => {
    if (!command) return;
    onClose();
    command.run();
  };
  return (
    <>
      <div className="flex items-center gap-2.5 border-b px-4">
        <Search aria-hidden className="size-4 shrink-0 text-faint" />
        <input
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls={`${id}-list`}
          aria-activedescendant={found[at] ? `${id}-${at}` : undefined}
          aria-label="What to do or where to go"
          placeholder="Go to a project, a run, a page…"
          className="h-12 w-full bg-transparent text-base outline-none placeholder:text-faint"
          maxLength={200}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") setAt((at + 1) % Math.max(1, found.length));
            else if (event.key === "ArrowUp") setAt((at - 1 + found.length) % Math.max(1, found.length));
            else if (event.key === "Enter") choose(found[at]);
            else return;
            event.preventDefault();
          }}
        />
      </div>
      <ul id={`${id}-list`} role="listbox" aria-label="Commands" className="max-h-96 overflow-y-auto p-1.5">
        {found.map((command, index) => (
          <li
            key={command.id}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === at}
            ref={index === at ? intoView : undefined}
            onPointerMove={() => setAt(index)}
            onClick={() => choose(command)}
            className={cx(
              "flex h-10 cursor-pointer items-center gap-3 rounded-md px-2.5 text-sm [&_svg]:size-4",
              index === at && "bg-hover",
            )}
          >
            <span className="text-faint">{command.icon}</span>
            <span className="min-w-0 truncate">{command.text}</span>
            <span className="ml-auto shrink-0 text-xs text-faint">{command.hint}</span>
            {index === at && <CornerDownLeft aria-hidden className="shrink-0 text-faint" />}
          </li>
        ))}
      </ul>
      {found.length === 0 && (
        <p role="status" className="px-4 pb-5 text-center text-sm text-muted">
          {SEARCH_WORDS[search]}
        </p>
      )}
    </>
  );
}

const ADMIN_PAGES = [
  ["/admin/runtime", "Runtime"],
  ["/admin/connections", "Connections"],
  ["/admin/rejects", "Rejected messages"],
  ["/admin/users", "Users"],
  ["/admin/audit", "Audit log"],
] as const;

const intoView = (option: HTMLElement | null): void => option?.scrollIntoView({ block: "nearest" });

function matching(commands: Command[], text: string): Command[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return commands.filter((command) => {
    const all = `${command.text} ${command.hint} ${command.id}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

const TYPING_MS = 120;
const FOUND_RUNS = 8;

interface Commands {
  commands: Command[];
  search: keyof typeof SEARCH_WORDS;
}

function useCommands(text: string, onShortcuts: () => void): Commands {
  const navigate = useNavigate();
  const me = useMe();
  const ofPage = useOpenPageCommands();
  const projects = useProjects();
  const runs = useQuery({
    queryKey: ["palette runs"],
    queryFn: async () => (await client.runs({ limit: 100 })).data.runs,
    staleTime: 10_000,
  });
  // Runs that aren't among the newest are found by the server.
  const q = useSettled(text.trim(), TYPING_MS);
  const found = useQuery({
    queryKey: ["palette runs", q],
    queryFn: async () => (await client.runs({ q, limit: FOUND_RUNS })).data.runs,
    enabled: q.length > 1,
    staleTime: 10_000,
    placeholderData: keepPreviousData,
  });
  const isPending = q !== text.trim() || found.isFetching || runs.isLoading || projects.isLoading;
  const hasFailed = found.isError || runs.isError || projects.isError;
  const commands = useMemo(() => {
    const page = (to: string, text: string, icon: ReactNode): Command => ({
      id: to,
      text,
      hint: "Page",
      icon,
      run: () => void navigate({ to }),
    });
    const pages = [
      page("/watch", "Watch", <Tv />),
      page("/projects", "Projects", <Box />),
      page("/account", "Account", <User />),
      page("/inbox", "Inbox", <Inbox />),
      ...(me.isAdmin ? ADMIN_PAGES.map(([to, name]) => page(to, name, <Shield />)) : []),
    ];
    const command = (text: string, icon: ReactNode, run: () => void): Command => ({
      id: `command ${text}`,
      text,
      hint: "Command",
      icon,
      run,
    });
    const onThisPage = ofPage.map((each) => command(each.text, <Zap />, each.run));
    const everywhere = [
      command("Toggle theme", <Moon />, toggleTheme),
      command("Keyboard shortcuts", <Keyboard />, onShortcuts),
    ];
    const ofProjects = (projects.data ?? []).flatMap(({ slug, name }) => [
      {
        id: `project ${slug}`,
        text: name,
        hint: "Project",
        icon: <Box />,
        run: () => void navigate({ to: "/projects/$project", params: { project: slug } }),
      },
      {
        id: `board ${slug}`,
        text: `${name} board`,
        hint: "Board",
        icon: <SquareKanban />,
        run: () => void navigate({ to: "/projects/$project/board", params: { project: slug } }),
      },
      {
        id: `timeline ${slug}`,
        text: `${name} timeline`,
        hint: "Timeline",
        icon: <ChartGantt />,
        run: () => void navigate({ to: "/projects/$project/timeline", params: { project: slug } }),
      },
      {
        id: `settings ${slug}`,
        text: `${name} settings`,
        hint: "Settings",
        icon: <Settings />,
        run: () => void navigate({ to: "/projects/$project/settings", params: { project: slug } }),
      },
    ]);
    const slugs = new Map((projects.data ?? []).map(({ id, slug }) => [id, slug]));
    const known = new Map([...(runs.data ?? []), ...(found.data ?? [])].map((run) => [run.id, run]));
    const ofRuns = [...known.values()].map((run) => ({
      id: `run ${[run.id, run.key, run.agent_name, run.agent_type, run.current_step].join(" ")}`,
      text: run.name ?? run.key ?? `Run ${shortId(run.id)}`,
      hint: wordOf(run.status),
      icon: <Play />,
      run: () => {
        const slug = slugs.get(run.project_id);
        void navigate(slug ? addressOf(run, slug) : { to: "/runs/$run", params: { run: run.id } });
      },
    }));
    return [...onThisPage, ...pages, ...ofProjects, ...ofRuns, ...everywhere];
  }, [navigate, me.isAdmin, ofPage, onShortcuts, projects.data, runs.data, found.data]);
  return { commands, search: isPending ? "pending" : hasFailed ? "failed" : "done" };
}
