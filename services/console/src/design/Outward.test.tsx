import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { Outward } from "./Outward";

afterEach(cleanup);

function linked(href: string): string | null {
  const { container } = render(<Outward href={href}>words</Outward>);
  expect(container.textContent).toBe("words");
  return container.querySelector("a")?.getAttribute("href") ?? null;
}

it.each(["https://example.org/pull/1", "HTTP://example.org", "mailto:ann@example.org", "#part"])("links to %s", (href) => {
  expect(linked(href)).toBe(href);
});

it.each(["javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "//evil.test", ""])(
  "shows the words alone of %j",
  (href) => {
    expect(linked(href)).toBeNull();
  },
);
