import type { ReactNode } from "react";
import { useState } from "react";

/** Values deeper than this, and containers past a budget of nodes, are shown when they are asked for. */
const OPEN_DEPTH = 6;
const OPEN_NODES = 2_000;
/** This many items of one list or object are drawn, until more are asked for. */
const SHOWN_ITEMS = 200;
/** A longer text is cut until it is asked for. */
const SHOWN_CHARACTERS = 4_000;

interface Budget {
  nodes: number;
}

/** JSON, indented, with its kinds of value told apart. Deep and large parts are collapsed. */
export function Json({ value }: { value: unknown }) {
  return (
    <pre className="font-mono text-xs leading-5 break-words whitespace-pre-wrap">
      {nodes(value, 0, 0, { nodes: OPEN_NODES })}
    </pre>
  );
}

interface Item {
  key: string;
  label: string | null;
  item: unknown;
}

function nodes(value: unknown, depth: number, opened: number, budget: Budget): ReactNode {
  budget.nodes -= 1;
  if (typeof value === "object" && value !== null) {
    const isList = Array.isArray(value);
    const size = isList ? value.length : Object.keys(value).length;
    if (size === 0) return isList ? "[]" : "{}";
    if (depth - opened >= OPEN_DEPTH || budget.nodes <= 0) {
      return <Collapsed value={value} size={size} isList={isList} depth={depth} />;
    }
    return <Container value={value} isList={isList} depth={depth} opened={opened} budget={budget} />;
  }
  if (typeof value === "string") return <Text text={value} />;
  return <span className="text-live">{String(value)}</span>;
}

function itemsOf(value: object): Item[] {
  if (Array.isArray(value)) {
    return value.map((item: unknown, i) => ({ key: String(i), label: null, item }));
  }
  return Object.entries(value).map(([key, item]) => ({ key, label: key, item: item as unknown }));
}

interface ContainerProps {
  value: object;
  isList: boolean;
  depth: number;
  opened: number;
  budget: Budget;
}

function Container({ value, isList, depth, opened, budget }: ContainerProps) {
  const [shown, setShown] = useState(SHOWN_ITEMS);
  const items = itemsOf(value);
  const indent = "  ".repeat(depth + 1);
  // Each part has the budget that was left when it was drawn first; drawing again spends no more of it.
  const own = { nodes: budget.nodes };
  return (
    <>
      {isList ? "[" : "{"}
      {items.slice(0, shown).map(({ key, label, item }, index) => (
        <span key={key}>
          {`\n${indent}`}
          {label !== null && (
            <>
              <span className="text-plan">{JSON.stringify(label)}</span>
              {": "}
            </>
          )}
          {nodes(item, depth + 1, opened, own)}
          {index < items.length - 1 && ","}
        </span>
      ))}
      {items.length > shown && (
        <>
          {`\n${indent}`}
          <More onClick={() => setShown(shown + 2 * SHOWN_ITEMS)}>… {items.length - shown} more</More>
        </>
      )}
      {`\n${"  ".repeat(depth)}${isList ? "]" : "}"}`}
    </>
  );
}

interface CollapsedProps {
  value: object;
  size: number;
  isList: boolean;
  depth: number;
}

function Collapsed({ value, size, isList, depth }: CollapsedProps) {
  const [isOpen, setOpen] = useState(false);
  if (isOpen) return nodes(value, depth, depth, { nodes: OPEN_NODES });
  const unit = isList ? (size === 1 ? "item" : "items") : size === 1 ? "field" : "fields";
  return (
    <More onClick={() => setOpen(true)}>
      {isList ? "[" : "{"} … {size} {unit} {isList ? "]" : "}"}
    </More>
  );
}

function Text({ text }: { text: string }) {
  const [isWhole, setWhole] = useState(false);
  const isCut = !isWhole && text.length > SHOWN_CHARACTERS;
  return (
    <>
      <span className="text-ok">{JSON.stringify(isCut ? text.slice(0, SHOWN_CHARACTERS) : text)}</span>
      {isCut && <More onClick={() => setWhole(true)}> … {text.length - SHOWN_CHARACTERS} more characters</More>}
    </>
  );
}

function More({ onClick, children }: { onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" onClick={onClick} className="rounded-sm bg-sunken px-1 text-muted hover:text-fg">
      {children}
    </button>
  );
}
