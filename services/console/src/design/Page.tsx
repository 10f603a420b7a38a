import { type ReactNode, useEffect } from "react";
import { cx } from "./classes";

/** The title of the browser's tab while the page is shown. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Runcast` : "Runcast";
  }, [title]);
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
