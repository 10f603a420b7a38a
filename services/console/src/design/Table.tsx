import type { ReactNode } from "react";
import { Card } from "./Surface";
import { cx } from "./classes";

export interface TableColumn<T> {
  title: string;
  cell: (row: T) => ReactNode;
  className?: string;
}

/** Rows of facts; on a narrow screen it scrolls sideways within its card. */
export function Table<T>({
  label,
  columns,
  rows,
  keyOf,
  empty,
}: {
  label: string;
  columns: readonly TableColumn<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  empty: ReactNode;
}) {
  if (rows.length === 0) return <Card>{empty}</Card>;
  return (
    <Card className="scroll-x">
      <table aria-label={label} className="w-full min-w-[36rem] text-sm">
        <thead>
          <tr>
            {columns.map(({ title, className }) => (
              <th
                key={title}
                scope="col"
                className={cx("border-b px-3 py-2 text-left font-sans! text-xs! font-medium text-muted! first:pl-4 last:pr-4", className)}
              >
                {title || <span className="sr-only">Actions</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} className="border-b last:border-0 hover:bg-hover">
              {columns.map(({ title, cell, className }) => (
                <td key={title} className={cx("px-3 py-2 align-top first:pl-4 last:pr-4", className)}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}
