import { CircleAlert, CircleCheck } from "lucide-react";
import { type ReactNode, createContext, useCallback, useContext, useMemo, useState } from "react";
import { cx } from "./classes";

type Say = (text: string, tone?: "ok" | "bad") => void;

interface Toast {
  id: number;
  text: string;
  tone: "ok" | "bad";
}

const SHOWN_MS = 4_000;
const ToastContext = createContext<Say>(() => undefined);

/** Says that something was done, or was not, for a few seconds. */
export const useToast = (): Say => useContext(ToastContext);

export function Toasts({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const say = useCallback<Say>((text, tone = "ok") => {
    const id = performance.now();
    setToasts((shown) => [...shown.slice(-2), { id, text, tone }]);
    setTimeout(() => setToasts((shown) => shown.filter((toast) => toast.id !== id)), SHOWN_MS);
  }, []);
  return (
    <ToastContext.Provider value={useMemo(() => say, [say])}>
      {children}
      <div
        role="status"
        className="pointer-events-none fixed inset-x-0 bottom-4 z-50 flex flex-col items-center gap-2 px-4"
      >
        {toasts.map(({ id, text, tone }) => (
          <p
            key={id}
            className="flex max-w-lg animate-rise items-center gap-2 rounded-lg bg-raised px-3 py-2 text-sm shadow-pop"
          >
            <span className={cx("[&_svg]:size-4", tone === "ok" ? "text-ok" : "text-bad")}>
              {tone === "ok" ? <CircleCheck /> : <CircleAlert />}
            </span>
            {text}
          </p>
        ))}
      </div>
    </ToastContext.Provider>
  );
}
