import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { renderToStaticMarkup } from "react-dom/server";
import { afterEach, expect, it } from "vitest";
import { Json } from "./Json";

afterEach(cleanup);

const tagsOf = (value: unknown): number => renderToStaticMarkup(<Json value={value} />).split("<").length / 2;

it("shows JSON however deep it is, a few levels at a time", () => {
  const nested: unknown = JSON.parse(`${"[".repeat(3_000)}1${"]".repeat(3_000)}`);
  expect(tagsOf(nested)).toBeLessThan(50);
  render(<Json value={nested} />);
  fireEvent.click(screen.getByText(/1 item/));
  expect(screen.getAllByText(/1 item/)).toHaveLength(1);
});

it("draws of a large value only a part, and more when asked", () => {
  expect(tagsOf(Array.from({ length: 50_000 }, (_, n) => [n, { deep: [n] }]))).toBeLessThan(2_500);
  const { container } = render(<Json value={Array.from({ length: 210 }, (_, n) => n)} />);
  expect(container.textContent).not.toContain("209");
  fireEvent.click(screen.getByText("… 10 more"));
  expect(container.textContent).toContain("209");
});
