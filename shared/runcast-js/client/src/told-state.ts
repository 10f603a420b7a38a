/** The state of a connection as one tab tells it to another. */
import type { ConnectionState } from "./connection.js";
import { Problem } from "./problem.js";

/** A closed state whose problem is plain data: a channel strips an `Error` of its fields. */
interface ClosedState {
  status: "closed";
  reason: string;
  problem: { status: number; title: string; detail: string | null; type: string } | null;
}

export type ToldState = ConnectionState | ClosedState;

export function toldState(state: ConnectionState): ToldState {
  if (state.status !== "closed" || !state.problem) return state;
  const { status, title, detail, type } = state.problem;
  return { ...state, problem: { status, title, detail, type } };
}

export function revived(state: ToldState): ConnectionState {
  if (state.status !== "closed" || !state.problem || state.problem instanceof Problem) {
    return state as ConnectionState;
  }
  const { status, title, detail, type } = state.problem;
  return { ...state, problem: new Problem(status, title, detail, type) };
}
