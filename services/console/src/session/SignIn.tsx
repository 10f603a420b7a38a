import { useQuery } from "@tanstack/react-query";
import { Problem } from "@runcast/client";
import { KeyRound } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";
import { Button } from "../design/Button";
import { Field, Input } from "../design/Field";
import { useTitle } from "../design/Page";
import { Mark } from "../shell/Mark";
import {
  type Methods,
  client,
  setToken,
  signInWithPassword,
  whoAmI,
} from "./session";

export function SignIn({ refused, onDone }: { refused: string | null; onDone: () => void }) {
  useTitle("Sign in");
  return (
    <Door title="Sign in to Runcast">
      <SignInForm refused={refused} onDone={onDone} />
    </Door>
  );
}

/** By password, by the one-time link that the server printed, with an API key, or somewhere else. */
export function SignInForm({ refused, onDone }: { refused: string | null; onDone: () => void }) {
  const [error, setError] = useState(refused);
  const [busy, setBusy] = useState(false);
  const [withKey, setWithKey] = useState(false);
  const methods = useQuery({
    queryKey: ["sign-in methods"],
    queryFn: async () => (await client.http.json<Methods>("GET", "/auth/methods")).data,
    staleTime: Infinity,
  });

  const attempt = async (action: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await action();
      onDone();
    } catch (failure) {
      setError(wordsFor(failure as Error));
    } finally {
      setBusy(false);
    }
  };

  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string => (form.get(name) as string | null) ?? "";
    void attempt(() =>
      withKey ? takeKey(text("key")) : signInWithPassword(text("email"), text("password")),
    );
  };

  return (
    <div className="flex flex-col gap-5">
      <form onSubmit={submit} className="flex flex-col gap-4">
        {withKey ? (
          <Field label="API key" hint="Kept in this tab only. `runcast token` prints the local one.">
            {(ids) => (
              <Input {...ids} name="key" type="password" maxLength={20_000} required autoComplete="off" placeholder="rc_…" />
            )}
          </Field>
        ) : (
          <>
            <Field label="Email">
              {(ids) => <Input {...ids} name="email" type="email" required autoComplete="username" />}
            </Field>
            <Field label="Password">
              {(ids) => (
                <Input {...ids} name="password" type="password" required autoComplete="current-password" />
              )}
            </Field>
          </>
        )}
        {error && (
          <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
            {error}
          </p>
        )}
        <Button look="primary" type="submit" busy={busy}>
          Sign in
        </Button>
        <Button
          look="quiet"
          icon={<KeyRound />}
          onClick={() => {
            setWithKey(!withKey);
            setError(null);
          }}
        >
          {withKey ? "Use email and password" : "Use an API key"}
        </Button>
      </form>
      {methods.data?.oidc && (
        <a
          href={`/auth/oidc/login?${new URLSearchParams({ return_to: location.pathname + location.search + location.hash }).toString()}`}
          className="inline-flex h-8 items-center justify-center rounded-md border border-edge text-sm font-medium hover:bg-hover"
        >
          Sign in with {new URL(methods.data.oidc).host}
        </a>
      )}
      <p className="text-center text-xs text-muted">
        On your own machine, <code className="font-mono">runcast up</code> prints a link that signs you
        in.
      </p>
    </div>
  );
}

export function Door({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="flex min-h-full items-center justify-center px-4 py-10">
      <div className="flex w-full max-w-sm flex-col gap-6">
        <div className="flex flex-col items-center gap-3">
          <Mark className="size-10" />
          <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
        </div>
        <div className="flex flex-col gap-5 rounded-xl border bg-surface p-6 shadow-card">{children}</div>
      </div>
    </main>
  );
}

async function takeKey(key: string): Promise<void> {
  setToken(key.trim());
  if ((await whoAmI()) !== null) return;
  setToken(null);
  throw new Problem(401, "This key isn't valid, or it has expired");
}

function wordsFor(error: Error): string {
  if (!(error instanceof Problem)) return "The server can't be reached.";
  if (error.status === 429) return "Too many attempts. Wait a moment and try again.";
  return error.detail ?? error.title;
}
