import { createContext, useContext, useEffect } from "react";

/** How many questions wait for a person; the title of every page says so. */
export const WaitingCount = createContext(0);
export const useWaiting = (): number => useContext(WaitingCount);

/** Marks the tab's icon while someone waits. */
export function useWaitingIcon(count: number): void {
  useEffect(() => {
    const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (link) link.href = count > 0 ? "/ui/icon-waiting.svg" : "/ui/icon.svg";
  }, [count]);
}
