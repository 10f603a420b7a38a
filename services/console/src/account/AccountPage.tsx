import { useQueryClient } from "@tanstack/react-query";
import { Laptop } from "lucide-react";

import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Field, Input } from "../design/Field";
import { ListState } from "../design/ListState";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Empty, Section } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import { client, holdsToken } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { SESSION } from "../session/query";
import { useList } from "../session/useList";
import { browserText } from "./browser";
import { Notifications } from "../notifications/Notifications";
import { FormError, useForm } from "../design/useForm";
import type { Schema } from "../session/schemas";

type Session = Schema<"SessionShown">;

export function AccountPage() {
  useTitle("Account");
  const me = useMe();
  return (
    <>
      <PageHeader title="Account" below={<p className="text-sm text-muted">{me.email ?? me.name}</p>} />
      <PageBody className="max-w-4xl">
        {holdsToken() ? (
          <Card>
            <Empty icon={<Laptop />} title="You are signed in with an API key">
              It belongs to no person, so there is no password and no session to manage. Closing this
              tab forgets it.
            </Empty>
          </Card>
        ) : (
          <>
            <Profile />
            <Notifications />
            <Sessions />
          </>
        )}
      </PageBody>
    </>
  );
}

function Profile() {
  const me = useMe();
  const say = useToast();
  const queries = useQueryClient();
  const form = useForm();
  const submit = form.submit(async (value, target) => {
    const password = value("password");
    const current = value("current_password");
    await client.http.send("PATCH", "/auth/me", {
      body: {
        name: value("name"),
        ...(password && { password }),
        ...(current && { current_password: current }),
      },
    });
    for (const field of target.querySelectorAll<HTMLInputElement>("[type=password]")) field.value = "";
    await queries.invalidateQueries({ queryKey: SESSION });
    say("Saved");
  });
  return (
    <Section title="Profile">
      <Card className="p-4">
        <form onSubmit={submit} className="flex max-w-md flex-col gap-4">
          <Field label="Name" error={form.errorOf("name")}>
            {(ids) => <Input {...ids} name="name" required maxLength={200} defaultValue={me.name ?? ""} />}
          </Field>
          <Field label="Current password" error={form.errorOf("current_password")} hint="Required to change your password.">
            {(ids) => <Input {...ids} name="current_password" type="password" autoComplete="current-password" />}
          </Field>
          <Field label="New password" error={form.errorOf("password")} hint="At least 10 characters.">
            {(ids) => <Input {...ids} name="password" type="password" minLength={10} autoComplete="new-password" />}
          </Field>
          <FormError form={form} />
          <Button type="submit" busy={form.busy} className="self-start">
            Save
          </Button>
        </form>
      </Card>
    </Section>
  );
}

function Sessions() {
  const say = useToast();
  const list = useList<Session>("/auth/sessions", "sessions", { limit: 100 });
  const end = async (path: string): Promise<void> => {
    try {
      await client.http.send("DELETE", path);
      await list.refetch();
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const columns: readonly TableColumn<Session>[] = [
    {
      title: "Where",
      cell: ({ client: browser, is_current: isCurrent }) => (
        <span className="flex items-center gap-2">
          <span className="line-clamp-1 max-w-80" title={browser}>
            {browserText(browser)}
          </span>
          {isCurrent && <Badge tone="ok">This device</Badge>}
        </span>
      ),
    },
    { title: "Address", className: "font-mono text-xs", cell: ({ address }) => address },
    { title: "Last used", className: "text-muted", cell: ({ used_at: at }) => <Ago at={at} /> },
    { title: "Created", className: "text-muted", cell: ({ created_at: at }) => <Ago at={at} /> },
    {
      title: "",
      className: "text-right",
      cell: ({ id, is_current: isCurrent }) =>
        !isCurrent && (
          <Button size="sm" onClick={() => void end(`/auth/sessions/${id}`)}>
            Sign out
          </Button>
        ),
    },
  ];
  return (
    <Section title="Sessions" hint="Where you are signed in">
      <ListState list={list}>
        {({ rows }) => (
          <Table
            label="Sessions"
            columns={columns}
            rows={rows}
            keyOf={({ id }) => id}
            empty={<Empty icon={<Laptop />} title="No session" />}
          />
        )}
      </ListState>
    </Section>
  );
}
