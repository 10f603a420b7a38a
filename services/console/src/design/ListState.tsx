import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Failure } from "./Failure";
import { Rows } from "./Surface";

/** The list once it is there; until then that it loads, or why it can't be read. */
export function ListState<T>({
  list,
  children,
}: {
  list: UseQueryResult<T>;
  children: (data: T) => ReactNode;
}) {
  if (list.data !== undefined) return children(list.data);
  if (list.error) return <Failure error={list.error} onRetry={() => void list.refetch()} />;
  return <Rows count={4} />;
}
