import { cleanup, fireEvent, render } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { useShortcuts } from "./shortcuts";
import { setSingleKeys } from "./singleKeys";

const pressed = vi.fn();
function Page() {
  useShortcuts([
    { keys: "j", text: "Next", run: () => pressed("j") },
    { keys: "mod+k", text: "Palette", run: () => pressed("mod+k") },
  ]);
  return (
    <>
      <button type="button">Start</button>
      <input aria-label="Search" />
    </>
  );
}
afterEach(() => {
  cleanup();
  pressed.mockReset();
  setSingleKeys(true);
});

it("takes single keys only while they are on; those with Ctrl always", () => {
  render(<Page />);
  fireEvent.keyDown(window, { key: "j" });
  setSingleKeys(false);
  fireEvent.keyDown(window, { key: "j" });
  fireEvent.keyDown(window, { key: "k", ctrlKey: true });
  expect(pressed.mock.calls).toEqual([["j"], ["mod+k"]]);
});

it("takes no key from a control: Enter, space, and what is typed", () => {
  const { getByRole } = render(<Page />);
  for (const key of ["Enter", " "]) expect(fireEvent.keyDown(getByRole("button"), { key })).toBe(true);
  expect(fireEvent.keyDown(getByRole("textbox"), { key: "j" })).toBe(true);
  expect(pressed).not.toHaveBeenCalled();
});
