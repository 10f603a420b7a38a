import * as Radix from "@radix-ui/react-dropdown-menu";
import type { ReactElement, ReactNode } from "react";
import { cx } from "./classes";

const ITEM =
  "flex h-8 cursor-pointer items-center gap-2 rounded-sm px-2 text-sm outline-none select-none data-disabled:opacity-50 data-highlighted:bg-hover [&_svg]:size-4 [&_svg]:text-faint";

export function Menu({ trigger, children }: { trigger: ReactElement; children: ReactNode }) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align="end"
          sideOffset={4}
          collisionPadding={8}
          className="z-50 min-w-44 animate-rise rounded-lg bg-raised p-1 shadow-pop"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export function MenuItem({
  icon,
  onSelect,
  danger = false,
  disabled = false,
  children,
}: {
  icon?: ReactNode;
  onSelect: () => void;
  danger?: boolean;
  disabled?: boolean;
  children: ReactNode;
}) {
  return (
    <Radix.Item
      disabled={disabled}
      onSelect={onSelect}
      className={cx(ITEM, danger && "text-bad [&_svg]:text-bad")}
    >
      {icon}
      {children}
    </Radix.Item>
  );
}

export function MenuChoice<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <>
      <Radix.Label className="px-2 pt-1.5 pb-1 text-2xs font-medium text-faint">{label}</Radix.Label>
      <Radix.RadioGroup value={value} onValueChange={(next) => onChange(next as T)}>
        {options.map(([option, text]) => (
          <Radix.RadioItem key={option} value={option} className={cx(ITEM, "pl-7")}>
            <Radix.ItemIndicator className="absolute left-3 text-accent">●</Radix.ItemIndicator>
            {text}
          </Radix.RadioItem>
        ))}
      </Radix.RadioGroup>
    </>
  );
}

export function MenuCheck({
  checked,
  onChange,
  children,
}: {
  checked: boolean;
  onChange: (checked: boolean) => void;
  children: ReactNode;
}) {
  return (
    <Radix.CheckboxItem
      checked={checked}
      onCheckedChange={(next) => onChange(next)}
      onSelect={(event) => event.preventDefault()}
      className={cx(ITEM, "pl-7")}
    >
      <Radix.ItemIndicator className="absolute left-3 text-accent">✓</Radix.ItemIndicator>
      {children}
    </Radix.CheckboxItem>
  );
}

export function MenuLine() {
  return <Radix.Separator className="my-1 h-px bg-line" />;
}
