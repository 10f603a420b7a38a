import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, createContext, useContext, useEffect, useState } from "react";
import { Button, Spinner } from "../design/Button";
import { Failure } from "../design/Failure";
import { SignIn } from "./SignIn";
import { SessionEnded } from "./SessionEnded";
import { SESSION } from "./query";
import { type Me, hasLeft, redeemCode, resumeSession, whoAmI } from "./session";

const SessionContext = createContext<Me | null>(null);

export function useMe(): Me {
  const me = useContext(SessionContext);
  if (!me) throw new Error("useMe must be used within a SessionProvider");
  return me;
}

const PATIENCE_MS = 1_000;

/** Nothing at first, since an answer is quick; after a second a word on why nothing is there. */
function Connecting() {
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div aria-busy className="flex h-full items-center justify-center bg-ground">
      {isSlow && (
        <p role="status" className="flex items-center gap-2 text-sm text-muted">
          <Spinner /> Connecting to the server…
        </p>
      )}
    </div>
  );
}

/** Shows the page to people who are signed in, and the sign-in form to others. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [refused, setRefused] = useState<string | null>(null);
  const session = useQuery({
    queryKey: SESSION,
    queryFn: async () => {
      await redeemCode().catch((error: unknown) => setRefused((error as Error).message));
      return whoAmI();
    },
    staleTime: Infinity,
    retry: (failures) => failures < 20,
    retryDelay: 1_500,
  });
  const me = session.data;
  const [last, setLast] = useState<Me | null>(null);
  if (me && me !== last) setLast(me);
  const signedIn = (): void => {
    resumeSession();
    // Requests that were refused meanwhile are repeated.
    void queries.invalidateQueries();
  };

  if (me === null && (last === null || hasLeft())) {
    return <SignIn refused={refused} onDone={signedIn} />;
  }
  if (session.error && !me && !last) {
    return (
      <main className="flex h-full items-center justify-center">
        <Failure error={session.error} />
        <Button onClick={() => void session.refetch()}>Try again</Button>
      </main>
    );
  }
  const shown = me ?? last;
  if (!shown) return <Connecting />;
  return (
    // Someone else who signs in gets pages of their own; the same person finds everything as it was.
    <SessionContext.Provider key={shown.id} value={shown}>
      {children}
      {!me && <SessionEnded last={shown} onDone={signedIn} />}
    </SessionContext.Provider>
  );
}
