import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, createContext, useContext, useState } from "react";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { SignIn } from "./SignIn";
import { type Me, redeemCode, whoAmI } from "./session";

const SessionContext = createContext<Me | null>(null);

export function useMe(): Me {
  const me = useContext(SessionContext);
  if (!me) throw new Error("useMe must be used within a SessionProvider");
  return me;
}

export const SESSION = ["session"] as const;

/** Shows the page to whoever is signed in, and the way in to everybody else. */
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
  if (session.data === null) {
    return <SignIn refused={refused} onDone={() => void queries.invalidateQueries({ queryKey: SESSION })} />;
  }
  if (session.error && !session.data) {
    return (
      <main className="flex h-full items-center justify-center">
        <Failure error={session.error} />
        <Button onClick={() => void session.refetch()}>Try again</Button>
      </main>
    );
  }
  if (!session.data) return <div aria-busy className="h-full bg-ground" />;
  return <SessionContext.Provider value={session.data}>{children}</SessionContext.Provider>;
}
