/**
 * Who is signed in. The console's identity is an HttpOnly cookie that no script can read; a
 * pasted token is kept for this tab only.
 */
import { type components, Problem, RuncastClient } from "@runcast/client";
import { noteServerTime } from "../design/clock";
import { unsubscribe } from "../notifications/push";

export interface Me {
  kind: MeAnswer["kind"];
  id: string;
  name: string | null;
  email: string | null;
  isAdmin: boolean;
  /** Where all that this identity may see is one project, or one run of it. */
  projectId: string | null;
  runId: string | null;
}

type MeAnswer = components["schemas"]["Me"];
export type Methods = components["schemas"]["Methods"];


const KEY = "runcast.token";

const readToken = (): string | null => {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
};

let token = readToken();

export const client = new RuncastClient({
  token: () => token,
  fetch: async (input, init) => {
    const response = await fetch(input, init);
    noteServerTime(response.headers.get("date"));
    return response;
  },
});

/** Uses a pasted token for the rest of this tab's life; null forgets it. */
export function setToken(next: string | null): void {
  token = next;
  try {
    if (next === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, next);
  } catch {
    // Storage is off: the token lives as long as the page.
  }
}

export const holdsToken = (): boolean => token !== null;

/** Null when no one is signed in. */
export async function whoAmI(): Promise<Me | null> {
  try {
    const { data } = await client.http.json<MeAnswer>("GET", "/auth/me");
    const { kind, id, name, email, is_admin: isAdmin, project_id, run_id } = data;
    return { kind, id: id ?? "key", name, email, isAdmin, projectId: project_id, runId: run_id };
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  }
}

export async function signInWithPassword(email: string, password: string): Promise<void> {
  await client.http.send("POST", "/auth/login", { body: { email, password, cookie: true } });
}

/**
 * `/ui/sign-in#token=…`: the one-time code of the link that `runcast up` printed. The fragment
 * never reaches a server's log, and is taken off the address before anything else looks at it.
 */
let code = takeCode();

function takeCode(): string | null {
  if (!location.pathname.endsWith("/sign-in")) return null;
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) history.replaceState(null, "", "/ui/");
  return found;
}

/** Exchanges the code that the address held for a session; a second call does nothing. */
export async function redeemCode(): Promise<void> {
  if (code === null) return;
  const body = { token: code, cookie: true };
  code = null;
  setToken(null);
  await client.http.send("POST", "/auth/login-link", { body });
}

let left = false;

/** Whether no one is signed in because someone signed out, and not because a session ran out. */
export const hasLeft = (): boolean => left;

export function resumeSession(): void {
  left = false;
}

export async function signOut(): Promise<void> {
  if (token === null) await client.http.send("POST", "/auth/logout");
  await unsubscribe();
  left = true;
  setToken(null);
}

/** Back from a share link to who one is in the browser's other tabs. */
export function leaveLink(): void {
  setToken(null);
  location.assign("/ui/");
}
