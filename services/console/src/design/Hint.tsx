import * as Tooltip from "@radix-ui/react-tooltip";
import type { ReactElement } from "react";
import { Kbd } from "./Kbd";

/** A tooltip; what it says must be the element's accessible name or add nothing needed. */
export function Hint({
  text,
  shortcut,
  children,
}: {
  text: string;
  shortcut?: string;
  children: ReactElement;
}) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content
          sideOffset={6}
          collisionPadding={8}
          className="z-50 flex max-w-72 animate-fade items-center gap-2 rounded-md bg-raised px-2 py-1 text-xs text-fg shadow-pop"
        >
          {text}
          {shortcut && <Kbd>{shortcut}</Kbd>}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
