import { type InputHTMLAttributes, type ReactNode, type Ref, type SelectHTMLAttributes, type TextareaHTMLAttributes, useId } from "react";
import { cx } from "./classes";

const CONTROL =
  "w-full min-w-0 rounded-md border border-control bg-surface text-fg placeholder:text-faint focus-visible:outline-2 focus-visible:-outline-offset-1 disabled:opacity-60";

const MAX_CHARACTERS = 4_000;

interface InputProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "size"> {
  icon?: ReactNode;
  size?: "sm" | "md";
  ref?: Ref<HTMLInputElement>;
}

export function Input({ icon, size = "md", className, ...rest }: InputProps) {
  const height = size === "sm" ? "h-7 text-xs" : "h-8 text-sm";
  // What is pasted by mistake, however large, must neither hang the page nor go into its address.
  const input = <input maxLength={MAX_CHARACTERS} className={cx(CONTROL, height, icon ? "pr-2 pl-7" : "px-2.5")} {...rest} />;
  return (
    <span className={cx("relative inline-flex min-w-0", className)}>
      {icon && (
        <span
          aria-hidden
          className="pointer-events-none absolute inset-y-0 left-2 flex items-center text-faint [&_svg]:size-3.5"
        >
          {icon}
        </span>
      )}
      {input}
    </span>
  );
}

interface SelectProps extends Omit<SelectHTMLAttributes<HTMLSelectElement>, "size"> {
  size?: "sm" | "md";
}

export function Select({ size = "md", className, ...rest }: SelectProps) {
  return (
    <select
      className={cx(CONTROL, size === "sm" ? "h-7 pl-1.5 text-xs" : "h-8 pl-2 text-sm", className)}
      {...rest}
    />
  );
}

export function TextArea({ className, ...rest }: TextareaHTMLAttributes<HTMLTextAreaElement>) {
  return <textarea className={cx(CONTROL, "px-2.5 py-1.5 text-sm", className)} {...rest} />;
}

/** A control with its label above, and below it a hint or what is wrong. */
export function Field({
  label,
  hint,
  error,
  children,
}: {
  label: string;
  hint?: string;
  error?: string | null;
  children: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => ReactNode;
}) {
  const id = useId();
  const below = error ?? hint;
  const ids = below
    ? { id, "aria-describedby": `${id}-below`, "aria-invalid": error !== null && error !== undefined }
    : { id };
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children(ids)}
      {below && (
        <p id={`${id}-below`} className={cx("text-xs", error ? "text-bad" : "text-muted")}>
          {below}
        </p>
      )}
    </div>
  );
}
