import { CircleAlert, CircleCheck, X } from "lucide-react";
import { type ReactNode, createContext, useCallback, useContext, useMemo, useRef, useState } from "react";
import { cx } from "./classes";

export interface ToastAction {
  text: string;
  run: () => void;
}

type Say = (text: string, tone?: "ok" | "bad", action?: ToastAction) => void;

interface Toast {
  id: number;
  text: string;
  tone: "ok" | "bad";
  action: ToastAction | undefined;
}

const SHOWN_MS = 4_000;
/** An error, or something to undo, needs longer to be read. */
const SHOWN_LONG_MS = 10_000;
const ToastContext = createContext<Say>(() => undefined);

/** Says that something was done, or was not, for a few seconds; perhaps with a way to undo it. */
export const useToast = (): Say => useContext(ToastContext);

export function Toasts({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const made = useRef(0);
  const close = useCallback((id: number) => setToasts((shown) => shown.filter((toast) => toast.id !== id)), []);
  const say = useCallback<Say>(
    (text, tone = "ok", action) => {
      const id = (made.current += 1);
      setToasts((shown) => [...shown.slice(-2), { id, text, tone, action }]);
      setTimeout(() => close(id), tone === "bad" || action ? SHOWN_LONG_MS : SHOWN_MS);
    },
    [close],
  );
  return (
    <ToastContext.Provider value={useMemo(() => say, [say])}>
      {children}
      <div
        role="status"
        className="pointer-events-none fixed inset-x-0 bottom-4 z-50 flex flex-col items-center gap-2 px-4"
      >
        {toasts.map(({ id, text, tone, action }) => (
          <div
            key={id}
            className="pointer-events-auto flex max-w-lg animate-rise items-center gap-2 rounded-lg bg-raised py-2 pr-2 pl-3 text-sm shadow-pop"
          >
            <span className={cx("[&_svg]:size-4", tone === "ok" ? "text-ok" : "text-bad")}>
              {tone === "ok" ? <CircleCheck /> : <CircleAlert />}
            </span>
            {text}
            {action && (
              <button
                type="button"
                className="rounded-sm px-1.5 font-medium text-accent hover:bg-hover"
                onClick={() => {
                  close(id);
                  action.run();
                }}
              >
                {action.text}
              </button>
            )}
            <button
              type="button"
              aria-label="Dismiss"
              onClick={() => close(id)}
              className="flex size-6 items-center justify-center rounded-sm text-muted hover:bg-hover hover:text-fg [&_svg]:size-3.5"
            >
              <X />
            </button>
          </div>
        ))}
      </div>
    </ToastContext.Provider>
  );
}
