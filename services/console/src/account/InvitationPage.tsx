import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Problem } from "@runcast/client";
import { type FormEvent, useState } from "react";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { Field, Input } from "../design/Field";
import { useTitle } from "../design/Page";
import { Rows } from "../design/Surface";
import { Door } from "../session/SignIn";
import { client } from "../session/session";

interface Invitation {
  email: string;
  project_name: string | null;
  role: string | null;
  is_confirmed: boolean;
}

/** An invitation's link: makes an account, or adds a project to the one that is there. */
export function InvitationPage() {
  useTitle("Invitation");
  const { token } = useParams({ from: "/invitations/$token" });
  const path = `/invitations/${encodeURIComponent(token)}`;
  const invitation = useQuery({
    queryKey: ["invitation", token],
    queryFn: async () => (await client.http.json<Invitation>("GET", path)).data,
  });
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = form.get("name");
    setBusy(true);
    try {
      const body = { password: form.get("password"), cookie: true, ...(name !== null && { name }) };
      await client.http.send("POST", `${path}/accept`, { body });
      location.assign("/ui/");
    } catch (failure) {
      setError(failure instanceof Problem ? (failure.detail ?? failure.title) : "The server can't be reached.");
      setBusy(false);
    }
  };
  if (invitation.error) {
    return (
      <Door title="Invitation">
        <Failure error={invitation.error} />
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
          An administrator has to confirm this invitation before it makes a new account.
        </p>
      )}
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
        <Field label="Your name" hint="Where you have an account here, it keeps its name.">
          {(ids) => <Input {...ids} name="name" required maxLength={200} autoComplete="name" autoFocus />}
        </Field>
        <Field
          label="Password"
          hint="That of your account, or a new one where you have none."
          error={error}
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
        <Button look="primary" type="submit" busy={busy}>
          Join
        </Button>
      </form>
    </Door>
  );
}
