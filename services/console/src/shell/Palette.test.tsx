import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, configure, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeAll, expect, it, vi } from "vitest";
import { Palette } from "./Palette";

vi.mock("@tanstack/react-router", () => ({ useNavigate: () => () => undefined }));
vi.mock("../session/SessionProvider", () => ({ useMe: () => ({ kind: "user", isAdmin: true }) }));
beforeAll(() => {
  configure({ asyncUtilTimeout: 4_000 });
  // Nothing has a place here.
  HTMLElement.prototype.scrollIntoView = () => undefined;
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

/** The palette with a text, by default one that only the server could find, over a server that answers with `found`. */
function searched(found: () => Promise<Response>, text = "gpt-zebra"): void {
  vi.stubGlobal("fetch", (input: string) => {
    if (input.includes("q=")) return found();
    return Promise.resolve(Response.json({ projects: [], runs: [], next_cursor: null }));
  });
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <QueryClientProvider client={queries}>
      <Palette open onClose={() => undefined} onShortcuts={() => undefined} />
    </QueryClientProvider>,
  );
  fireEvent.change(screen.getByLabelText("What to do or where to go"), { target: { value: text } });
}

it("says that nothing was found only once the server has said so", async () => {
  const answers: ((response: Response) => void)[] = [];
  searched(() => new Promise((resolve) => answers.push(resolve)));
  await vi.waitFor(() => expect(answers).toHaveLength(1));
  expect(screen.queryByText("No results")).toBeNull();
  expect(screen.getByText("Searching…")).toBeTruthy();
  answers[0]?.(Response.json({ runs: [], next_cursor: null }));
  expect(await screen.findByText("No results")).toBeTruthy();
});

it("says that a search failed", async () => {
  searched(() => Promise.resolve(Response.json({ title: "Postgres is down" }, { status: 503 })));
  expect(await screen.findByText("Runs can’t be searched now")).toBeTruthy();
});

it.each(["users", "audit", "rejected", "inbox", "theme", "shortcuts"])("leads to %s", async (text) => {
  searched(() => Promise.resolve(Response.json({ runs: [], next_cursor: null })), text);
  expect(await screen.findByRole("option")).toBeTruthy();
});
