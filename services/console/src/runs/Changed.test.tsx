import { renderToStaticMarkup } from "react-dom/server";
import { expect, it, vi } from "vitest";
import { Changed } from "./Artifacts";
import type { DiffLine } from "./diff";

vi.mock("../session/session", () => ({ client: {} }));

it("draws a change of thousands of lines only as far as it is read", () => {
  const lines = Array.from({ length: 4_800 }, (_, n): DiffLine => ({ kind: "added", text: `line ${n}` }));
  const drawn = renderToStaticMarkup(<Changed lines={lines} />);
  expect(drawn.match(/<div/g)).toHaveLength(1_000);
  expect(drawn).toContain("3,800 more lines");
});
