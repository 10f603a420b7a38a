/**
 * Stands in for `react-remove-scroll`, which Radix's dialogs bring: it injects a `<style>` element,
 * which our content security policy forbids. The page body is held by an attribute instead.
 */
import { Slot } from "@radix-ui/react-slot";
import { type HTMLAttributes, type Ref, useEffect } from "react";

interface RemoveScrollProps extends HTMLAttributes<HTMLElement> {
  as?: unknown;
  allowPinchZoom?: boolean;
  shards?: unknown;
  enabled?: boolean;
  ref?: Ref<HTMLElement>;
}

export function RemoveScroll({
  as: _as,
  allowPinchZoom: _pinch,
  shards: _shards,
  enabled = true,
  children,
  ...rest
}: RemoveScrollProps) {
  useEffect(() => {
    if (!enabled) return undefined;
    document.body.dataset.scrollLocked = "";
    return () => {
      delete document.body.dataset.scrollLocked;
    };
  }, [enabled]);
  return <Slot {...rest}>{children}</Slot>;
}
