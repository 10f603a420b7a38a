import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";

import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { Field, Input } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Section } from "../design/Surface";
import { useToast } from "../design/Toasts";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { projectKey, useProject } from "../shell/ProjectScope";
import { Invitations } from "./Invitations";
import { Keys } from "./Keys";
import { Members } from "./Members";
import { can } from "./roles";
import { ShareLinks } from "./ShareLinks";
import { Webhooks } from "./Webhooks";
import { FormError, useForm } from "../design/useForm";

export function ProjectSettingsPage() {
  const project = useProject();
  const me = useMe();
  useTitle(`${project.name} settings`);
  const owns = me.isAdmin || can(project.role, "manage");
  return (
    <>
      <PageHeader title="Settings" below={<p className="text-sm text-muted">{project.name}</p>} />
      <PageBody className="max-w-4xl">
        <General canChange={owns} />
        <Members canChange={owns} />
        <Invitations canChange={owns} />
        {owns && <Keys />}
        {owns && <Webhooks />}
        {(owns || can(project.role, "share")) && <ShareLinks />}
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
  const form = useForm();
  const submit = form.submit(async (value) => {
    const slug = value("slug");
    const { data } = await client.updateProject(project.id, {
      name: value("name"),
      ...(slug !== project.slug && { slug }),
    });
    queries.setQueryData(projectKey(data.slug), data);
    await queries.invalidateQueries({ queryKey: ["projects"] });
    await queries.invalidateQueries({ queryKey: ["project"] });
    say("Saved");
    if (data.slug !== project.slug) {
      await navigate({ to: "/projects/$project/settings", params: { project: data.slug } });
    }
  });
  return (
    <Section title="General">
      <Card className="p-4">
        <form onSubmit={submit} className="grid items-end gap-4 sm:grid-cols-[1fr_1fr_auto]">
          <Field label="Name" error={form.errorOf("name")}>
            {(ids) => (
              <Input {...ids} name="name" required maxLength={200} defaultValue={project.name} disabled={!canChange} />
            )}
          </Field>
          <Field label="Slug" error={form.errorOf("slug")}>
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
            <Button type="submit" busy={form.busy}>
              Save
            </Button>
          )}
          <FormError form={form} />
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
          This deletes its runs, logs, artifacts and board, and disconnects its streams. You can't undo it.
        </p>
        <Confirm
          title={`Delete ${project.name}?`}
          text="This deletes everything in it for everyone. You can't undo it."
          action="Delete the project"
          typed={project.slug}
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
