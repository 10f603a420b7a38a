import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import Markdown from "./Markdown";

afterEach(cleanup);

it("has its paragraphs right below the element that spaces them", () => {
  const { container } = render(<Markdown text={"# One\n\ntwo\n\nthree"} />);
  expect([...container.querySelectorAll(".prose > *")].map(({ tagName }) => tagName)).toEqual(["H1", "P", "P"]);
});

it("opens what is elsewhere in a new tab, its own places here, and nothing that runs", () => {
  render(<Markdown text={"[out](https://example.org) [in](#one) [bad](javascript:alert(1))"} />);
  expect(screen.getByText("out").getAttribute("target")).toBe("_blank");
  expect(screen.getByText("in").getAttribute("target")).toBeNull();
  expect(screen.getByText("bad").closest("a")).toBeNull();
});
