import type { ReactNode } from "react";

/** JSON, indented, with its kinds of value told apart. */
export function Json({ value }: { value: unknown }) {
  return (
    <pre className="font-mono text-xs leading-5 break-words whitespace-pre-wrap">{nodes(value, 0)}</pre>
  );
}

function nodes(value: unknown, depth: number): ReactNode {
  if (Array.isArray(value)) {
    const items = value.map((item, i) => ({ key: String(i), label: null, item: item as unknown }));
    return enclosed("[", "]", items, depth);
  }
  if (typeof value === "object" && value !== null) {
    const items = Object.entries(value).map(([key, item]) => ({ key, label: key, item: item as unknown }));
    return enclosed("{", "}", items, depth);
  }
  if (typeof value === "string") return <span className="text-ok">{JSON.stringify(value)}</span>;
  return <span className="text-live">{String(value)}</span>;
}

function enclosed(
  open: string,
  close: string,
  items: { key: string; label: string | null; item: unknown }[],
  depth: number,
): ReactNode {
  if (items.length === 0) return open + close;
  const indent = "  ".repeat(depth + 1);
  return (
    <>
      {open}
      {items.map(({ key, label, item }, index) => (
        <span key={key}>
          {`\n${indent}`}
          {label !== null && (
            <>
              <span className="text-plan">{JSON.stringify(label)}</span>
              {": "}
            </>
          )}
          {nodes(item, depth + 1)}
          {index < items.length - 1 && ","}
        </span>
      ))}
      {`\n${"  ".repeat(depth)}${close}`}
    </>
  );
}
