import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { Badge } from "../design/Badge";
import { Sheet } from "../design/Dialog";

afterEach(cleanup);
const NAME = "report\u202efdp.exe";
const SEEN = "report<U+202E>fdp.exe";

it("shows no text raw, wherever it stands", () => {
  const { container } = render(
    <>
      <p title={NAME} aria-label={`File ${NAME}`}>
        {NAME} and {[NAME, <b key="b">{NAME}</b>]}
      </p>
      <Badge>{NAME}</Badge>
      <Sheet open onClose={() => undefined} title={NAME}>
        {NAME}
      </Sheet>
    </>,
  );
  expect(container.ownerDocument.documentElement.outerHTML).not.toContain("\u202e");
  expect(container.querySelector("p")?.title).toBe(SEEN);
  expect(container.querySelector("p")?.textContent).toBe(`${SEEN} and ${SEEN}${SEEN}`);
});

it("leaves what a form sends as it is", () => {
  const { container } = render(<input defaultValue={NAME} placeholder={NAME} />);
  expect(container.querySelector("input")?.value).toBe(NAME);
});
