import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";
import { Hint } from "./Hint";
import { cx } from "./classes";

const LOOKS = {
  primary:
    "bg-accent-strong text-white border-transparent shadow-card hover:brightness-110 disabled:opacity-55",
  plain: "bg-surface text-fg border-edge shadow-card hover:bg-hover disabled:opacity-55",
  quiet: "border-transparent text-muted hover:bg-hover hover:text-fg disabled:opacity-55",
  danger: "bg-surface text-bad border-edge shadow-card hover:bg-bad-soft disabled:opacity-55",
};

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: keyof typeof LOOKS;
  size?: "sm" | "md";
  icon?: ReactNode;
  busy?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({
  look = "plain",
  size = "md",
  icon,
  busy = false,
  className,
  children,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      aria-busy={busy || undefined}
      className={cx(
        "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md border font-medium whitespace-nowrap transition-colors select-none [&_svg]:size-4 [&_svg]:shrink-0",
        size === "sm" ? "h-7 px-2 text-xs" : "h-8 px-3 text-sm",
        LOOKS[look],
        className,
      )}
      {...rest}
      disabled={rest.disabled === true || busy}
    >
      {busy ? <Spinner /> : icon}
      {children}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonProps, "children"> {
  /** What it does: its accessible name and its tooltip. */
  label: string;
  shortcut?: string;
  pressed?: boolean;
}

export function IconButton({
  label,
  shortcut,
  pressed,
  icon,
  look = "quiet",
  size = "md",
  className,
  ...rest
}: IconButtonProps) {
  return (
    <Hint text={label} {...(shortcut ? { shortcut } : {})}>
      <button
        type="button"
        aria-label={label}
        aria-pressed={pressed}
        className={cx(
          "inline-flex shrink-0 items-center justify-center rounded-md border transition-colors [&_svg]:size-4",
          size === "sm" ? "size-7" : "size-8",
          LOOKS[look],
          pressed && "bg-accent-soft text-accent hover:bg-accent-soft hover:text-accent",
          className,
        )}
        {...rest}
      >
        {icon}
      </button>
    </Hint>
  );
}

export function Spinner() {
  return (
    <span
      aria-hidden
      className="size-3.5 animate-spin rounded-full border-2 border-current border-r-transparent"
    />
  );
}
