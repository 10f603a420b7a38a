import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Problem } from "@runcast/client";

import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { Field, Input } from "../design/Field";
import { useTitle } from "../design/Page";
import { Rows } from "../design/Surface";
import { Door } from "../session/SignIn";
import { client } from "../session/session";
import { FormError, useForm } from "../design/useForm";
import type { Schema } from "../session/schemas";

type Invitation = Schema<"InvitationOpened">;

/** An invitation's link: makes an account, or adds a project to the one that is there. */
export function InvitationPage() {
  useTitle("Invitation");
  const { token } = useParams({ from: "/invitations/$token" });
  const path = `/invitations/${encodeURIComponent(token)}`;
  const invitation = useQuery({
    queryKey: ["invitation", token],
    queryFn: async () => (await client.http.json<Invitation>("GET", path)).data,
  });
  const form = useForm();
  const submit = form.submit(async (value) => {
    const name = value("name");
    const body = { password: value("password"), cookie: true, ...(name && { name }) };
    await client.http.send("POST", `${path}/accept`, { body });
    location.assign("/ui/");
  });
  if (invitation.error) {
    return (
      <Door title="Invitation">
        {invitation.error instanceof Problem && invitation.error.status === 404 ? (
          <p role="alert" className="text-sm text-muted">
            This invitation has expired or was already used. Ask the person who invited you for a new one.
          </p>
        ) : (
          <Failure error={invitation.error} />
        )}
      </Door>
    );
  }
  if (!invitation.data) return <Rows count={3} />;
  const { email, project_name: project, role, is_confirmed: isConfirmed } = invitation.data;
  return (
    <Door title={project ? `Join ${project}` : "Join Runcast"}>
      <p className="text-sm text-muted">
        <span className="font-medium text-fg">{email}</span> is invited
        {project ? ` to ${project}` : ""}
        {role ? ` as ${role}` : ""}.
      </p>
      {!isConfirmed && (
        <p className="text-sm text-muted">
          An administrator has to confirm this invitation before it creates an account.
        </p>
      )}
      <form key={token} onSubmit={submit} className="flex flex-col gap-4">
        <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
        <Field
          label="Your name"
          hint="An existing account keeps its name."
          error={form.errorOf("name")}
        >
          {(ids) => <Input {...ids} name="name" required maxLength={200} autoComplete="name" autoFocus />}
        </Field>
        <Field
          label="Password"
          hint="The password of your account, or a new one if you have none."
          error={form.errorOf("password")}
        >
          {(ids) => (
            <Input
              {...ids}
              name="password"
              type="password"
              required
              autoComplete="current-password"
            />
          )}
        </Field>
        <FormError form={form} />
        <Button look="primary" type="submit" busy={form.busy}>
          Join
        </Button>
      </form>
    </Door>
  );
}
