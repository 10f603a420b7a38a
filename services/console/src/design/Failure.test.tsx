import { Problem } from "@runcast/client";
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { PageFailure } from "./Failure";

afterEach(cleanup);

it.each<[Error, string]>([
  [new TypeError("t.split is not a function"), "Something went wrong on this page"],
  [new RangeError("Invalid time value"), "Something went wrong on this page"],
  [new TypeError("Failed to fetch"), "The server can't be reached"],
  [new TypeError("NetworkError when attempting to fetch resource."), "The server can't be reached"],
  [new TypeError("Failed to fetch dynamically imported module: /ui/assets/x.js"), "This page couldn't be loaded"],
  [new TypeError("Importing a module script failed."), "This page couldn't be loaded"],
  [new Problem(503, "Unavailable"), "The server isn't ready"],
  [new Problem(404, "Not found"), "Not found"],
  [new Problem(403, "Forbidden"), "You don't have access"],
])("tells a fault of the page from one of the network: %s", (error, title) => {
  render(<PageFailure error={error} onRetry={() => undefined} />);
  expect(screen.getByRole("alert").textContent).toContain(title);
});
