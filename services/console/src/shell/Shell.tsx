import { Navigate, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { Menu as MenuIcon } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { Button, IconButton } from "../design/Button";
import { useInbox } from "../inbox/useInbox";
import { WaitingCount, useWaitingIcon } from "../inbox/useWaiting";
import { useMe } from "../session/SessionProvider";
import { leaveLink } from "../session/session";
import { ConnectionBadge, ConnectionStates } from "./ConnectionState";
import { Mark } from "./Mark";
import { Navigation } from "./Navigation";
import { PageCommands } from "./commands";
import { Palette } from "./Palette";
import { toggleTheme } from "./theme";
import { useLastProject } from "./lastProject";
import { ShortcutSheet } from "./ShortcutSheet";
import { focusSearch, useShortcuts } from "./shortcuts";
import { cx } from "../design/classes";

const focusFirst = (menu: HTMLElement | null): void => menu?.querySelector<HTMLElement>("a, button")?.focus();

/** The frame of every page: navigation, connection, palette, shortcuts. */
export function Shell() {
  const [palette, setPalette] = useState(false);
  const [sheet, setSheet] = useState(false);
  const [menu, setMenu] = useState(false);
  const menuButton = useRef<HTMLButtonElement>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => setMenu(false), [path]);
  // A guest of one run has no other page.
  const me = useMe();
  const isGuest = me.runId !== null;
  const isAstray = !path.startsWith("/runs/");
  useGlobalShortcuts(() => setPalette(!isGuest), () => setSheet(true));
  const waiting = useInbox().data?.total ?? 0;
  useWaitingIcon(waiting);
  return (
    <WaitingCount.Provider value={waiting}>
    <PageCommands>
    <ConnectionStates>
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-raised focus:px-3 focus:py-2 focus:shadow-pop"
      >
        Skip to content
      </a>
      <div className={cx("flex h-full flex-col", !isGuest && "md:flex-row")}>
        <header className={cx("flex h-12 shrink-0 items-center gap-2.5 border-b bg-surface px-3", isGuest ? "sm:px-6" : "md:hidden")}>
          {!isGuest && <IconButton ref={menuButton} label="Menu" icon={<MenuIcon />} onClick={() => setMenu(true)} />}
          <Mark className="size-6" />
          <span className="font-semibold">Runcast</span>
          {isGuest && <span className="truncate text-sm text-muted">Shared with you, read only</span>}
          <span className="ml-auto flex items-center gap-3">
            <ConnectionBadge />
            {isGuest && (
              <Button size="sm" look="quiet" onClick={leaveLink}>
                Leave
              </Button>
            )}
          </span>
        </header>
        {menu && (
          <button
            type="button"
            aria-label="Close the menu"
            className="fixed inset-0 z-30 bg-[light-dark(rgb(20_24_35/0.32),rgb(0_0_0/0.6))] md:hidden"
            onClick={() => setMenu(false)}
          />
        )}
        {!isGuest && <div
          ref={menu ? focusFirst : undefined}
          onKeyDown={(event) => {
            if (event.key !== "Escape" || !menu) return;
            setMenu(false);
            menuButton.current?.focus();
          }}
          className={cx(
            "inset-y-0 left-0 z-30 w-60 shrink-0 border-r bg-sunken md:static md:block md:w-56",
            menu ? "fixed animate-fade" : "hidden",
          )}
        >
          <Navigation onPalette={() => setPalette(true)} onShortcuts={() => setSheet(true)} />
        </div>}
        <main id="content" tabIndex={-1} className="min-h-0 min-w-0 flex-1 overflow-y-auto outline-none">
          {isAstray && me.runId !== null ? <Navigate to="/runs/$run" params={{ run: me.runId }} replace /> : <Outlet />}
        </main>
      </div>
      <Palette open={palette} onClose={() => setPalette(false)} onShortcuts={() => setSheet(true)} />
      <ShortcutSheet open={sheet} onClose={() => setSheet(false)} />
    </ConnectionStates>
    </PageCommands>
    </WaitingCount.Provider>
  );
}

function useGlobalShortcuts(onPalette: () => void, onSheet: () => void): void {
  const navigate = useNavigate();
  const slug = useLastProject();
  useShortcuts(
    useMemo(() => {
      const inProject = (to: "/projects/$project" | "/projects/$project/board") => () => {
        if (slug) void navigate({ to, params: { project: slug } });
      };
      return [
        { keys: "mod+k", text: "Command palette", run: onPalette },
        { keys: "?", text: "Shortcuts", run: onSheet },
        { keys: "/", text: "Search", run: focusSearch },
        { keys: "t", text: "Theme", run: toggleTheme },
        { keys: "g w", text: "Watch", run: () => void navigate({ to: "/watch" }) },
        { keys: "g i", text: "Inbox", run: () => void navigate({ to: "/inbox" }) },
        { keys: "g p", text: "Projects", run: () => void navigate({ to: "/projects" }) },
        { keys: "g r", text: "Runs", run: inProject("/projects/$project") },
        { keys: "g b", text: "Board", run: inProject("/projects/$project/board") },
      ];
    }, [navigate, slug, onPalette, onSheet]),
  );
}
