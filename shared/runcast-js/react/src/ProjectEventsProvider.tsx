/** @jsxImportSource react */
import { useQueryClient } from "@tanstack/react-query";
import {
  type ConnectionState,
  type EventListener,
  type LiveConnection,
  type LogFilter,
  RunLog,
  type RuncastClient,
  type RuncastEvent,
  isGap,
  isLog,
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
import { LiveCache } from "./cache.js";
import { useMaybeCombinedEvents } from "./CombinedEventsProvider.js";

export interface ProjectEvents {
  projectId: string;
  client: RuncastClient;
  state: ConnectionState;
  /** Live now; while it isn't, queries poll. */
  isConnected: boolean;
  cache: LiveCache;
  /** Asks for a run's lines ("all": every run's) until as many unsubscribes follow. */
  subscribeToLogs: (runId: string) => void;
  unsubscribeFromLogs: (runId: string) => void;
  /** The log of a run that is subscribed to; the same object for all who ask. */
  logOf: (runId: string) => RunLog;
  onEvents: (listener: EventListener) => () => void;
  /** Ends the wait between two attempts; opens again what was refused or ended. */
  retryNow: () => void;
}

export interface ProjectEventsProviderProps {
  /** The project's id, not its slug: events and caches name projects by id. */
  projectId: string;
  client: RuncastClient;
  /** Who is signed in; tabs share a connection only with tabs of the same person. */
  identity?: string;
  /** Only this run: for who may see no more of the project, such as a share link's holder. */
  onlyRun?: string;
  /** One connection for all tabs (the default), or one of this tab's own. */
  share?: boolean;
  children: ReactNode;
}

const ProjectEventsContext = createContext<ProjectEvents | null>(null);

/** The nearest provider's connection; throws where there is none. */
export function useProjectEvents(): ProjectEvents {
  const value = useContext(ProjectEventsContext);
  if (!value) throw new Error("useProjectEvents must be used within a ProjectEventsProvider");
  return value;
}

/** The same, or null outside any provider, for what also works without a live connection. */
export function useMaybeProjectEvents(): ProjectEvents | null {
  return useContext(ProjectEventsContext);
}

/**
 * A project's connection for what is inside: a share of that of a `CombinedEventsProvider` around it, else one
 * of its own.
 */
export function ProjectEventsProvider({
  projectId,
  client,
  identity = "me",
  onlyRun,
  share = true,
  children,
}: ProjectEventsProviderProps) {
  const queries = useQueryClient();
  const combined = useMaybeCombinedEvents();
  const isPart = combined !== null && !onlyRun;
  const parts = isPart ? combined.parts : null;
  const retryAll = isPart ? combined.retryNow : null;
  const [state, setState] = useState<ConnectionState>(
    () => parts?.stateOf(projectId) ?? { status: "connecting" },
  );
  const [opened, setOpened] = useState(1);
  const session = useMemo(
    () => new Session(client, new LiveCache(queries, projectId)),
    [client, queries, projectId],
  );

  useEffect(() => {
    if (isPart && !parts) return undefined;
    const own = (): LiveConnection =>
      share && !onlyRun
        ? client.share(projectId, identity)
        : client.connect(projectId, onlyRun ? { onlyRun } : {});
    const connection = parts?.part(projectId) ?? own();
    const close = session.attach(connection, setState);
    const online = (): void => connection.retryNow();
    globalThis.addEventListener?.("online", online);
    return () => {
      globalThis.removeEventListener?.("online", online);
      close();
    };
  }, [client, session, projectId, identity, onlyRun, share, isPart, parts, opened]);
  const retryNow = useCallback(() => {
    if (retryAll) retryAll();
    else if (session.isOver) setOpened((times) => times + 1);
    else session.retryNow();
  }, [session, retryAll]);

  const value = useMemo<ProjectEvents>(
    () => ({
      projectId,
      client,
      state,
      isConnected: state.status === "live",
      cache: session.cache,
      subscribeToLogs: session.subscribeToLogs,
      unsubscribeFromLogs: session.unsubscribeFromLogs,
      logOf: session.logOf,
      onEvents: session.onEvents,
      retryNow,
    }),
    [projectId, client, state, session, retryNow],
  );
  return <ProjectEventsContext.Provider value={value}>{children}</ProjectEventsContext.Provider>;
}

/** How often held runs learn of their log's growth; a render per line would be one too many. */
const LINE_COUNT_MS = 500;

/** What outlives a single connection: subscriptions, logs, listeners. */
class Session {
  readonly #wanted = new Map<string, number>();
  readonly #logs = new Map<string, RunLog>();
  readonly #listeners = new Set<EventListener>();
  readonly #lastLines = new Map<string, RuncastEvent>();
  #lastLinesTimer: ReturnType<typeof setTimeout> | undefined;
  #connection: LiveConnection | null = null;

  constructor(
    private readonly client: RuncastClient,
    readonly cache: LiveCache,
  ) {}

  attach(connection: LiveConnection, onState: (state: ConnectionState) => void): () => void {
    this.#connection = connection;
    connection.setLogs(this.#filter());
    let wasLive = connection.state.status === "live";
    connection.onState((state) => {
      onState(state);
      const isLive = state.status === "live";
      if (isLive && !wasLive) this.#caughtUp(connection.position);
      wasLive = isLive;
    });
    connection.onEvents((events) => this.#receive(events));
    onState(connection.state);
    // A connection that was open before, for another page, tells no more that it is live.
    if (connection.state.status === "live") this.#caughtUp(connection.position);
    return () => {
      clearTimeout(this.#lastLinesTimer);
      this.#lastLinesTimer = undefined;
      connection.close();
      this.#connection = null;
    };
  }

  readonly subscribeToLogs = (runId: string): void => {
    this.#wanted.set(runId, (this.#wanted.get(runId) ?? 0) + 1);
    this.#connection?.setLogs(this.#filter());
  };

  readonly unsubscribeFromLogs = (runId: string): void => {
    const left = (this.#wanted.get(runId) ?? 0) - 1;
    if (left > 0) {
      this.#wanted.set(runId, left);
      return;
    }
    this.#wanted.delete(runId);
    this.#logs.get(runId)?.close();
    this.#logs.delete(runId);
    this.#connection?.setLogs(this.#filter());
  };

  readonly logOf = (runId: string): RunLog => {
    let log = this.#logs.get(runId);
    if (!log) {
      log = this.client.runLog(runId);
      this.#logs.set(runId, log);
      void log.open();
    }
    return log;
  };

  readonly onEvents = (listener: EventListener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly retryNow = (): void => this.#connection?.retryNow();

  get isOver(): boolean {
    return this.#connection?.state.status === "closed";
  }

  #receive(events: readonly RuncastEvent[]): void {
    for (const log of this.#logs.values()) log.take(events);
    if (events.some(isGap)) {
      this.cache.invalidate();
      this.#refreshLogs();
    }
    const others = events.filter((event) => !isLog(event));
    if (others.length > 0) this.cache.apply(others);
    for (const event of events) if (isLog(event)) this.#noteLine(event);
    for (const listener of this.#listeners) listener(events);
  }

  #noteLine(event: RuncastEvent): void {
    if (event.id === null || !event.data.run_id) return;
    this.#lastLines.set(event.data.run_id, event);
    this.#lastLinesTimer ??= setTimeout(() => {
      this.#lastLinesTimer = undefined;
      this.cache.applyLines([...this.#lastLines.values()]);
      this.#lastLines.clear();
    }, LINE_COUNT_MS);
  }

  #caughtUp(position: number | null): void {
    if (position !== null) this.cache.catchUp(position);
    this.#refreshLogs();
  }

  #refreshLogs(): void {
    for (const log of this.#logs.values()) void log.refresh();
  }

  #filter(): LogFilter {
    return this.#wanted.has("all") ? "all" : [...this.#wanted.keys()];
  }
}
