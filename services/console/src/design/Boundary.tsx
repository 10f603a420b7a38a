import { Component, type ReactNode } from "react";
import { PageFailure } from "./Failure";

interface Caught {
  error: Error | null;
}

/** Keeps an exception in one part of a page from taking the rest of it away. */
export class Boundary extends Component<{ children: ReactNode }, Caught> {
  override state: Caught = { error: null };

  static getDerivedStateFromError(error: unknown): Caught {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    return <PageFailure error={error} onRetry={() => this.setState({ error: null })} />;
  }
}
