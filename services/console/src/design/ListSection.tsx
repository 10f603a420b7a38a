import type { UseQueryResult } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import type { ReactNode } from "react";
import type { Listed } from "../session/useList";
import { Button } from "./Button";
import { ListState } from "./ListState";
import { Empty, Section } from "./Surface";
import { Table, type TableColumn } from "./Table";

interface ListSectionProps<T> {
  title: string;
  hint?: string;
  list: UseQueryResult<Listed<T>>;
  columns: readonly TableColumn<T>[];
  keyOf: (row: T) => string;
  empty: { icon: ReactNode; title: string };
  /** What adds to the list, where you may. */
  add?: { text: string; icon?: ReactNode; onAdd: () => void } | false;
  /** Stands between the heading and the table. */
  above?: ReactNode;
  /** Dialogs. */
  children?: ReactNode;
}

/** A part of a settings page: its heading, a button that adds, the table of what there is. */
export function ListSection<T>({ title, hint, list, columns, keyOf, empty, add, above, children }: ListSectionProps<T>) {
  return (
    <Section
      title={title}
      {...(hint && { hint })}
      actions={
        add && (
          <Button icon={add.icon ?? <Plus />} onClick={add.onAdd}>
            {add.text}
          </Button>
        )
      }
    >
      {above}
      <ListState list={list}>
        {({ rows }) => <Table label={title} columns={columns} rows={rows} keyOf={keyOf} empty={<Empty {...empty} />} />}
      </ListState>
      {children}
    </Section>
  );
}
