/** @jsxImportSource react */
import { useQueryClient } from "@tanstack/react-query";
import {
  CombinedParts,
  type ConnectionState,
  type FollowedProjects,
  type LogFilter,
  type RuncastClient,
  isConnected,
} from "@runcast/client";
import {
  type ReactNode,
  createContext,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useState,
} from "react";
import { holdActiveRuns } from "./cache.js";

export interface CombinedEvents {
  state: ConnectionState;
  /** Ids of the projects whose events come now. */
  live: ReadonlySet<string>;
  /** Each project's share of the connection; null until it is opened. */
  parts: CombinedParts | null;
  /** Ends the wait between two attempts; opens again what was refused or ended. */
  retryNow: () => void;
  /** Opens the stream again where it stands: `"all"` is what may be seen then. */
  reopen: () => void;
}

export interface CombinedEventsProviderProps {
  /** Ids or slugs, at most 50 (none: nothing is opened), or `"all"` that may be seen: the 50 in which something happened last. */
  projects: FollowedProjects;
  client: RuncastClient;
  /** Who is signed in; tabs share a connection only with tabs of the same person. */
  identity?: string;
  /** Lines that are asked for besides those that providers inside subscribe to. */
  logs?: LogFilter;
  /** One connection for all tabs (the default), or one of this tab's own. */
  share?: boolean;
  children: ReactNode;
}

const CONNECTING: ConnectionState = { status: "connecting" };
const NO_PROJECTS: ReadonlySet<string> = new Set();
const CombinedEventsContext = createContext<CombinedEvents | null>(null);

/** The connection of the nearest `CombinedEventsProvider`; throws where there is none. */
export function useCombinedEvents(): CombinedEvents {
  const value = useContext(CombinedEventsContext);
  if (!value) throw new Error("useCombinedEvents must be used within a CombinedEventsProvider");
  return value;
}

/** The same, or null outside of any. */
export function useMaybeCombinedEvents(): CombinedEvents | null {
  return useContext(CombinedEventsContext);
}

/** One connection to several projects. A `ProjectEventsProvider` inside takes its project's share of it. */
export function CombinedEventsProvider({
  projects,
  client,
  identity = "me",
  logs = NO_LOGS,
  share = true,
  children,
}: CombinedEventsProviderProps) {
  const queries = useQueryClient();
  const [shown, setShown] = useState({ state: CONNECTING, live: NO_PROJECTS });
  const [parts, setParts] = useState<CombinedParts | null>(null);
  const [opened, setOpened] = useState(1);
  const followed = projects === "all" ? "all" : projects.join(",");

  useEffect(() => {
    if (followed === "") return undefined;
    const names = followed === "all" ? followed : followed.split(",");
    const connection = share
      ? client.shareEvents(names, identity)
      : client.events({ projects: names });
    // Before the parts hear of it: what shows a project finds its runs.
    connection.onEvents((events) => {
      for (const event of events) if (isConnected(event)) holdActiveRuns(queries, event.data);
    });
    const made = new CombinedParts(connection, logs);
    const show = (): void => setShown({ state: made.state, live: new Set(made.live) });
    made.onChange(show);
    setParts(made);
    show();
    const online = (): void => connection.retryNow();
    globalThis.addEventListener?.("online", online);
    return () => {
      globalThis.removeEventListener?.("online", online);
      made.close();
      setParts(null);
    };
  }, [client, queries, followed, identity, logs, share, opened]);

  const retryNow = useCallback(() => {
    if (parts?.state.status === "closed") setOpened((times) => times + 1);
    else parts?.connection.retryNow();
  }, [parts]);
  const reopen = useCallback(() => parts?.connection.reopen(), [parts]);
  const value = useMemo<CombinedEvents>(
    () => ({ ...shown, parts, retryNow, reopen }),
    [shown, parts, retryNow, reopen],
  );
  return <CombinedEventsContext.Provider value={value}>{children}</CombinedEventsContext.Provider>;
}

const NO_LOGS: LogFilter = [];
