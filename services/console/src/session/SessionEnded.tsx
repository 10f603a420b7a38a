import { useQueryClient } from "@tanstack/react-query";
import * as Radix from "@radix-ui/react-dialog";
import { useEffect } from "react";
import { SignInForm } from "./SignIn";
import { SESSION } from "./query";
import type { Me } from "./session";

interface SessionEndedProps {
  /** Whose it was. */
  last: Me;
  onDone: () => void;
}

/** Stands over a page whose session has run out: what it shows stays, and goes on after signing in. */
export function SessionEnded({ last, onDone }: SessionEndedProps) {
  const queries = useQueryClient();
  const isLink = last.kind === "share";
  useEffect(() => {
    // A person who signs in in another tab is signed in here too.
    const look = (): void => void queries.invalidateQueries({ queryKey: SESSION });
    addEventListener("focus", look);
    return () => removeEventListener("focus", look);
  }, [queries]);
  return (
    <Radix.Root open>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-50 animate-fade bg-[light-dark(rgb(20_24_35/0.32),rgb(0_0_0/0.6))]" />
        <Radix.Content className="fixed top-[12vh] left-1/2 z-50 flex max-h-[80vh] w-[calc(100vw-2rem)] max-w-sm -translate-x-1/2 animate-rise flex-col gap-5 overflow-y-auto rounded-xl bg-raised p-6 shadow-pop outline-none">
          <header>
            <Radix.Title className="text-lg font-semibold">
              {isLink ? "This link is no longer valid" : "Your session has ended"}
            </Radix.Title>
            <Radix.Description className="text-sm text-muted">
              {isLink
                ? "It has expired or was revoked. Ask the person who sent it for a new one."
                : "Sign in to continue."}
            </Radix.Description>
          </header>
          {!isLink && <SignInForm refused={null} onDone={onDone} />}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
