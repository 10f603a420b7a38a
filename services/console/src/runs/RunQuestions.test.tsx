import type { Run } from "@runcast/client";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { Toasts } from "../design/Toasts";
import { connected } from "../../../../shared/runcast-js/client/test/server";
import { EVENTS, json, page } from "../../../../shared/runcast-js/react/test/page";
import { questionsOf } from "../inbox/useInbox";
import { RunQuestions } from "./RunQuestions";

vi.mock("../session/SessionProvider", () => ({ useMe: () => ({ kind: "user" }) }));
afterEach(cleanup);

const asking = (id: string) =>
  json({
    questions: [
      {
        id,
        run_id: "r",
        kind: "choice",
        title: `Question ${id}`,
        multiple: true,
        options: [{ id: "yes", label: "Delete it" }],
        answerable: true,
        asked_by: { name: "agent" },
        asked_at: "2026-01-31T10:00:00.000Z",
      },
    ],
    total: 1,
  });

it("shows the next question without what was ticked for the one before", async () => {
  const { queries, routes, wrapper: Wrapper } = page({ "/questions": asking("one") });
  render(
    <Wrapper>
      <Toasts>
        <RunQuestions run={{ id: "r" } as Run} />
      </Toasts>
    </Wrapper>,
  );
  const box = () => screen.getByRole<HTMLInputElement>("checkbox", { name: "Delete it" });
  await screen.findByText("Question one");
  fireEvent.click(box());
  expect(box().checked).toBe(true);
  routes["/questions"] = asking("two");
  await act(() => queries.invalidateQueries({ queryKey: questionsOf("r") }));
  await screen.findByText("Question two");
  expect(box().checked).toBe(false);
});

it("shows a question that was asked after the first read and before the stream opened", async () => {
  const { server, routes, wrapper: Wrapper } = page({ "/questions": json({ questions: [], total: 0 }) });
  render(
    <Wrapper>
      <Toasts>
        <RunQuestions run={{ id: "r" } as Run} />
      </Toasts>
    </Wrapper>,
  );
  await vi.waitFor(() => expect(server.count("/questions")).toBe(1));
  routes["/questions"] = asking("one");
  await vi.waitFor(() => expect(server.count(EVENTS)).toBe(1));
  await act(async () => server.last(EVENTS).stream(connected()));
  await screen.findByText("Question one");
});
