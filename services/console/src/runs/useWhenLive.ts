import { useProjectEvents } from "@runcast/react";
import { useEffect, useEffectEvent } from "react";

/**
 * Calls `readAgain` each time the stream opens. A stream that opens for the first time tells only of what
 * happens from then on: what happened between a page's first read and its opening has to be read.
 */
export function useWhenLive(readAgain: () => void): void {
  const { isConnected } = useProjectEvents();
  const onLive = useEffectEvent(readAgain);
  useEffect(() => {
    if (isConnected) onLive();
  }, [isConnected]);
}
