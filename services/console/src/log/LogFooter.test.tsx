import type { Run } from "@runcast/client";
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LogFooter } from "./LogFooter";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

it("tells a screen reader of lines that came, not of those that were there", () => {
  const footer = (lines: number, isLoaded: boolean) => (
    <LogFooter
      run={{ status: "running" } as Run}
      lines={lines}
      isLoaded={isLoaded}
      firstLine={1}
      shown={null}
      hasAllShown
      leavesOlderOut={false}
      isConnected
      error={null}
      following
      range={null}
      saysError={false}
    />
  );
  const { rerender } = render(footer(0, false));
  const pass = (): void => act(() => void vi.advanceTimersByTime(10_000));
  rerender(footer(826, true));
  pass();
  expect(screen.getByRole("status").textContent).toBe("");
  rerender(footer(830, true));
  pass();
  expect(screen.getByRole("status").textContent).toBe("4 new lines");
});

it("says that older matches are left out", () => {
  render(
    <LogFooter
      run={{ status: "completed" } as Run}
      lines={9_000}
      isLoaded
      firstLine={1}
      shown={800}
      hasAllShown={false}
      leavesOlderOut
      isConnected
      error={null}
      following={false}
      range={null}
      saysError={false}
    />,
  );
  expect(screen.getByText(/older matches aren’t shown/).textContent).toContain("800+ of 9,000 lines");
});
