import { Problem } from "@runcast/client";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { Field, Input } from "./Field";
import { FormError, useForm } from "./useForm";

afterEach(cleanup);

function Page({ send }: { send: () => Promise<void> }) {
  const form = useForm();
  return (
    <form aria-label="Key" onSubmit={form.submit(send)}>
      {["name", "expires_at"].map((name) => (
        <Field key={name} label={name} error={form.errorOf(name)}>
          {(ids) => <Input {...ids} name={name} />}
        </Field>
      ))}
      <FormError form={form} />
      <button type="submit" disabled={form.busy}>
        Create
      </button>
    </form>
  );
}

const submitted = async (send: () => Promise<void>): Promise<void> => {
  render(<Page send={send} />);
  await act(async () => {
    fireEvent.submit(screen.getByRole("form"));
    await Promise.resolve();
  });
};

it("puts what is wrong under the field that it names, and the rest below", async () => {
  const problem = new Problem(422, "Invalid request", "see errors", "about:blank", [
    { field: "body.expires_at", message: "Value error, must lie in the future" },
    { field: "body.colour", message: "isn't known" },
  ]);
  await submitted(() => Promise.reject(problem));
  const field = screen.getByLabelText("expires_at");
  expect(document.getElementById(field.getAttribute("aria-describedby") ?? "")?.textContent).toBe("Must lie in the future");
  expect(screen.getByLabelText("name").getAttribute("aria-describedby")).toBeNull();
  expect(screen.getByRole("alert").textContent).toBe("colour: Isn't known");
});

it("says in words that the server can't be reached", async () => {
  await submitted(() => Promise.reject(new TypeError("Failed to fetch")));
  expect(screen.getByRole("alert").textContent).toBe("The server can't be reached. Try again.");
});

it("submits once, however often it is pressed", async () => {
  const send = vi.fn(() => new Promise<void>(() => undefined));
  await submitted(send);
  fireEvent.submit(screen.getByRole("form"));
  expect(send).toHaveBeenCalledTimes(1);
  expect(screen.getByRole<HTMLButtonElement>("button").disabled).toBe(true);
});
