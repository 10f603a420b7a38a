import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { Field, Input } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Section } from "../design/Surface";
import { useToast } from "../design/Toasts";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { projectKey, useProject } from "../shell/ProjectScope";
import { Keys } from "./Keys";
import { Members } from "./Members";
import { ShareLinks } from "./ShareLinks";

export function ProjectSettingsPage() {
  const project = useProject();
  const me = useMe();
  useTitle(`${project.name} settings`);
  const owns = me.isAdmin || project.role === "owner";
  return (
    <>
      <PageHeader title="Settings" below={<p className="text-sm text-muted">{project.name}</p>} />
      <PageBody className="max-w-4xl">
        <General canChange={owns || project.role === "editor"} />
        <Members canChange={owns} />
        <Keys canChange={owns} />
        <ShareLinks canChange={owns || project.role === "editor"} />
        {owns && <Danger />}
      </PageBody>
    </>
  );
}

function General({ canChange }: { canChange: boolean }) {
  const project = useProject();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const say = useToast();
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const slug = (form.get("slug") as string).trim();
    const name = (form.get("name") as string).trim();
    setBusy(true);
    try {
      const { data } = await client.updateProject(project.id, {
        name,
        ...(slug !== project.slug && { slug }),
      });
      queries.setQueryData(projectKey(data.slug), data);
      await queries.invalidateQueries({ queryKey: ["projects"] });
      await queries.invalidateQueries({ queryKey: ["project"] });
      say("Saved");
      if (data.slug !== project.slug) {
        await navigate({ to: "/projects/$project/settings", params: { project: data.slug } });
      }
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Section title="General">
      <Card className="p-4">
        <form onSubmit={(event) => void submit(event)} className="grid items-end gap-4 sm:grid-cols-[1fr_1fr_auto]">
          <Field label="Name">
            {(ids) => (
              <Input {...ids} name="name" required maxLength={200} defaultValue={project.name} disabled={!canChange} />
            )}
          </Field>
          <Field label="Slug">
            {(ids) => (
              <Input
                {...ids}
                name="slug"
                required
                pattern="[a-z0-9][a-z0-9\-]*"
                maxLength={63}
                defaultValue={project.slug}
                disabled={!canChange}
              />
            )}
          </Field>
          {canChange && (
            <Button type="submit" busy={busy}>
              Save
            </Button>
          )}
        </form>
      </Card>
    </Section>
  );
}

function Danger() {
  const project = useProject();
  const queries = useQueryClient();
  const navigate = useNavigate();
  return (
    <Section title="Delete the project">
      <Card className="flex flex-wrap items-center gap-4 p-4">
        <p className="min-w-0 flex-1 basis-60 text-sm text-muted">
          Its runs, logs, artifacts and board go with it, and open streams end. This can't be undone.
        </p>
        <Confirm
          title={`Delete ${project.name}?`}
          text="Everything in it goes, for everybody. This can't be undone."
          action="Delete the project"
          onConfirm={async () => {
            await client.deleteProject(project.id);
            await navigate({ to: "/projects" });
            await queries.invalidateQueries({ queryKey: ["projects"] });
          }}
        >
          {(ask) => (
            <Button look="danger" onClick={ask}>
              Delete
            </Button>
          )}
        </Confirm>
      </Card>
    </Section>
  );
}
