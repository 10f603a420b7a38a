import { type ReactNode, useEffect } from "react";
import { useWaiting } from "../inbox/useWaiting";
import { visible } from "../shown/visible";
import { cx } from "./classes";

/** The title of the browser's tab while the page is shown; in front of it, how many questions wait. */
export function useTitle(title: string): void {
  const waiting = useWaiting();
  useEffect(() => {
    const named = title ? `${visible(title)} · Runcast` : "Runcast";
    document.title = waiting > 0 ? `(${waiting}) ${named}` : named;
  }, [title, waiting]);
}

export function PageHeader({
  title,
  above,
  below,
  actions,
}: {
  title: ReactNode;
  above?: ReactNode;
  below?: ReactNode;
  actions?: ReactNode;
}) {
  return (
    <header className="flex flex-wrap items-end gap-x-4 gap-y-3 px-4 pt-5 pb-4 sm:px-6">
      <div className="min-w-0 flex-1 basis-60">
        {above}
        <h1 className="truncate text-xl font-semibold tracking-tight">{title}</h1>
        {below}
      </div>
      {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
    </header>
  );
}

export function PageBody({ className, children }: { className?: string; children: ReactNode }) {
  return (
    <div className={cx("flex flex-col gap-8 px-4 pb-12 sm:px-6", className)}>{children}</div>
  );
}
