import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import {
  Activity,
  Box,
  Cable,
  ChartGantt,
  ChevronsUpDown,
  FileWarning,
  Inbox,
  Keyboard,
  ListTree,
  LogOut,
  Monitor,
  Moon,
  ScrollText,
  Search,
  Settings,
  SquareKanban,
  Sun,
  Tv,
  User,
  Users,
} from "lucide-react";
import type { ReactNode } from "react";
import { IconButton } from "../design/Button";
import { Kbd } from "../design/Kbd";
import { Menu, MenuItem, MenuLine } from "../design/Menu";
import { useWaiting } from "../inbox/useWaiting";
import { useProjects } from "../projects/useProjects";
import { useMe } from "../session/SessionProvider";
import { SESSION } from "../session/query";
import { leaveLink, signOut } from "../session/session";
import { ConnectionBadge } from "./ConnectionState";
import { Mark } from "./Mark";
import { useLastProject } from "./lastProject";
import { setTheme } from "./theme";
import { MOD } from "./platform";

interface NavigationProps {
  onPalette: () => void;
  onShortcuts: () => void;
}

export function Navigation({ onPalette, onShortcuts }: NavigationProps) {
  const me = useMe();
  const slug = useLastProject();
  const waiting = useWaiting();
  return (
    <header className="flex h-full flex-col">
      <div className="flex items-center gap-2.5 px-4 pt-4 pb-3">
        <Mark className="size-6" />
        <span className="text-base font-semibold tracking-tight">Runcast</span>
      </div>
      <div className={me.runId === null ? "px-3 pb-2" : "hidden"}>
        <button
          type="button"
          onClick={onPalette}
          className="flex h-8 w-full items-center gap-2 rounded-md border bg-surface px-2 text-sm text-muted shadow-card hover:bg-hover [&_svg]:size-3.5"
        >
          <Search aria-hidden />
          Search…
          <span className="ml-auto">
            <Kbd>{MOD} K</Kbd>
          </span>
        </button>
      </div>
      <nav aria-label="Main" className="min-h-0 flex-1 overflow-y-auto px-3 py-1">
        {me.runId === null && (
          <>
            <Item to="/watch" icon={<Tv />} text="Watch" />
            {me.kind !== "share" && <Item to="/inbox" icon={<Inbox />} text="Inbox" count={waiting} />}
            <Item to="/projects" icon={<Box />} text="Projects" exact />
          </>
        )}
        {slug && me.runId === null && <ProjectItems slug={slug} />}
        {me.isAdmin && <AdminItems />}
      </nav>
      <div className="flex flex-col gap-1 border-t px-3 py-2">
        <div className="hidden px-1 md:block">
          <ConnectionBadge />
        </div>
        <Footer onShortcuts={onShortcuts} />
      </div>
    </header>
  );
}

function ProjectItems({ slug }: { slug: string }) {
  const projects = useProjects();
  const navigate = useNavigate();
  const me = useMe();
  const project = projects.data?.find((each) => each.slug === slug || each.id === slug);
  if (projects.data && !project) return null;
  return (
    <Group
      title={
        <Menu
          trigger={
            <button
              type="button"
              aria-label={`Project ${project?.name ?? slug}, choose another`}
              className="flex h-6 max-w-full items-center gap-1 rounded-sm text-xs font-medium text-muted hover:text-fg [&_svg]:size-3"
            >
              <span className="truncate">{project?.name ?? slug}</span>
              <ChevronsUpDown aria-hidden />
            </button>
          }
        >
          {(projects.data ?? []).slice(0, 15).map((each) => (
            <MenuItem
              key={each.id}
              icon={<Box />}
              onSelect={() =>
                void navigate({ to: "/projects/$project", params: { project: each.slug } })
              }
            >
              {each.name}
            </MenuItem>
          ))}
          <MenuLine />
          <MenuItem onSelect={() => void navigate({ to: "/projects" })}>All projects</MenuItem>
        </Menu>
      }
    >
      <Item to="/projects/$project" params={{ project: slug }} icon={<ListTree />} text="Runs" exact />
      <Item to="/projects/$project/board" params={{ project: slug }} icon={<SquareKanban />} text="Board" />
      <Item to="/projects/$project/timeline" params={{ project: slug }} icon={<ChartGantt />} text="Timeline" />
      {me.kind !== "share" && (
        <Item to="/projects/$project/settings" params={{ project: slug }} icon={<Settings />} text="Settings" />
      )}
    </Group>
  );
}

function AdminItems() {
  return (
    <Group title={<span className="text-xs font-medium text-muted">Admin</span>}>
      <Item to="/admin/runtime" icon={<Activity />} text="Runtime" />
      <Item to="/admin/connections" icon={<Cable />} text="Connections" />
      <Item to="/admin/rejects" icon={<FileWarning />} text="Ingest rejects" />
      <Item to="/admin/users" icon={<Users />} text="Users" />
      <Item to="/admin/audit" icon={<ScrollText />} text="Audit" />
    </Group>
  );
}

function Group({ title, children }: { title: ReactNode; children: ReactNode }) {
  return (
    <div className="mt-4">
      <div className="px-2 pb-1">{title}</div>
      {children}
    </div>
  );
}

function Item({
  to,
  params = {},
  icon,
  text,
  exact = false,
  count = 0,
}: {
  to: string;
  params?: Record<string, string>;
  icon: ReactNode;
  text: string;
  exact?: boolean;
  count?: number;
}) {
  return (
    <Link
      to={to}
      params={params}
      activeOptions={{ exact, includeSearch: false }}
      className="flex h-8 items-center gap-2.5 rounded-md px-2 text-sm text-muted hover:bg-hover hover:text-fg aria-[current=page]:bg-surface aria-[current=page]:font-medium aria-[current=page]:text-fg aria-[current=page]:shadow-card [&_svg]:size-4"
    >
      {icon}
      {text}
      {count > 0 && (
        <span className="nums ml-auto rounded-full bg-bad-soft px-1.5 text-xs font-medium text-bad">{count}</span>
      )}
    </Link>
  );
}

function Footer({ onShortcuts }: { onShortcuts: () => void }) {
  const me = useMe();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const name = me.name ?? me.email ?? (me.kind === "share" ? "Shared link" : "API key");
  const leave = async (): Promise<void> => {
    await signOut();
    await navigate({ to: "/" });
    queries.setQueryData(SESSION, null);
    queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== SESSION[0] });
  };
  return (
    <div className="flex items-center gap-1">
      <Menu
        trigger={
          <button
            type="button"
            className="flex h-8 min-w-0 flex-1 items-center gap-2 rounded-md px-1 text-sm hover:bg-hover"
          >
            <span
              aria-hidden
              className="flex size-6 shrink-0 items-center justify-center rounded-full bg-accent-soft text-xs font-semibold text-accent uppercase"
            >
              {name.slice(0, 1)}
            </span>
            <span className="min-w-0 truncate">{name}</span>
          </button>
        }
      >
        {me.kind !== "share" && (
          <>
            <MenuItem icon={<User />} onSelect={() => void navigate({ to: "/account" })}>
              Account
            </MenuItem>
            <MenuLine />
          </>
        )}
        <MenuItem icon={<Monitor />} onSelect={() => setTheme("system")}>
          System theme
        </MenuItem>
        <MenuItem icon={<Sun />} onSelect={() => setTheme("light")}>
          Light
        </MenuItem>
        <MenuItem icon={<Moon />} onSelect={() => setTheme("dark")}>
          Dark
        </MenuItem>
        <MenuLine />
        <MenuItem icon={<LogOut />} onSelect={() => (me.kind === "share" ? leaveLink() : void leave())}>
          {me.kind === "share" ? "Leave the shared view" : "Sign out"}
        </MenuItem>
      </Menu>
      <IconButton label="Keyboard shortcuts" shortcut="?" icon={<Keyboard />} onClick={onShortcuts} />
    </div>
  );
}
