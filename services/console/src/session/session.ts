/**
 * Who is signed in. The console's identity is an HttpOnly cookie that no script can read; a
 * pasted token is kept for this tab only.
 */
import { Problem, RuncastClient } from "@runcast/client";

export interface Me {
  id: string;
  name: string | null;
  email: string | null;
  isAdmin: boolean;
}

const KEY = "runcast.token";

const readToken = (): string | null => {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
};

let token = readToken();

export const client = new RuncastClient({ token: () => token });

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

interface MeAnswer {
  id?: string | null;
  user_id?: string | null;
  name?: string | null;
  email?: string | null;
  is_admin?: boolean;
  user?: MeAnswer | null;
}

/** Null when nobody is signed in. */
export async function whoAmI(): Promise<Me | null> {
  try {
    const { data } = await client.http.json<MeAnswer>("GET", "/auth/me");
    const user = { ...data, ...data.user };
    return {
      id: user.id ?? user.user_id ?? "key",
      name: user.name ?? null,
      email: user.email ?? null,
      isAdmin: user.is_admin ?? false,
    };
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    if (error instanceof Problem && error.status === 404 && token) {
      await client.projects({ limit: 1 });
      return { id: "key", name: "Admin key", email: null, isAdmin: true };
    }
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

export async function signInWithPassword(email: string, password: string): Promise<void> {
  await client.http.send("POST", "/auth/login", { body: { email, password, cookie: true } });
}

/** Exchanges the one-time code of the link that `runcast up` printed. */
export async function signInWithCode(code: string): Promise<void> {
  await client.http.send("POST", "/auth/login-link", { body: { token: code } });
}

export async function signOut(): Promise<void> {
  if (token === null) await client.http.send("POST", "/auth/logout");
  setToken(null);
}
