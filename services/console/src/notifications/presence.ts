import { useEffect } from "react";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";

const EVERY_MS = 20_000;

/** Tells the server every 20 s, while this page is visible and focused, that the person sees it anyway. */
export function usePresence(page: string): void {
  const isPerson = useMe().kind === "user";
  useEffect(() => {
    if (!isPerson) return;
    const say = (): void => {
      if (document.visibilityState !== "visible" || !document.hasFocus()) return;
      // It is worth no message of its own: without it one is told once more.
      void client.http.send("PUT", "/auth/me/presence", { body: { page } }).catch(() => undefined);
    };
    say();
    const timer = setInterval(say, EVERY_MS);
    window.addEventListener("focus", say);
    return () => {
      clearInterval(timer);
      window.removeEventListener("focus", say);
    };
  }, [page, isPerson]);
}
