import { Plus, Users } from "lucide-react";
import { useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input } from "../design/Field";
import { ListState } from "../design/ListState";
import { Menu, MenuItem } from "../design/Menu";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Secret } from "../design/Secret";
import { Empty } from "../design/Surface";
import { Table, type TableColumn } from "../design/Table";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { useList } from "../session/useList";
import { FormError, useForm } from "../design/useForm";

interface User {
  id: string;
  name: string;
  email: string | null;
  is_admin: boolean;
  is_disabled: boolean;
  created_at: string;
  last_sign_in_at: string | null;
}

export function UsersPage() {
  useTitle("Users");
  const me = useMe();
  const say = useToast();
  const [inviting, setInviting] = useState(false);
  const list = useList<User>("/admin/users", "users", { limit: 500 });
  const change = (user: User, body: Partial<User>): void => {
    client.http
      .send("PATCH", `/admin/users/${user.id}`, { body })
      .then(() => list.refetch())
      .catch((error: unknown) => say((error as Error).message, "bad"));
  };
  const columns: readonly TableColumn<User>[] = [
    {
      title: "Name",
      cell: ({ name, email }) => (
        <>
          <p className="font-medium">{name}</p>
          <p className="text-xs text-muted">{email}</p>
        </>
      ),
    },
    {
      title: "Access",
      cell: (user) => (
        <span className="flex gap-1">
          {user.is_admin && <Badge tone="accent">Admin</Badge>}
          {user.is_disabled && <Badge tone="bad">Disabled</Badge>}
        </span>
      ),
    },
    { title: "Last sign-in", className: "text-muted", cell: ({ last_sign_in_at: at }) => <Ago at={at} /> },
    { title: "Since", className: "text-muted", cell: ({ created_at: at }) => <Ago at={at} /> },
    {
      title: "",
      className: "text-right",
      cell: (user) =>
        user.id !== me.id && (
          <Menu trigger={<Button size="sm">Change</Button>}>
            <MenuItem onSelect={() => change(user, { is_admin: !user.is_admin })}>
              {user.is_admin ? "Remove admin" : "Make admin"}
            </MenuItem>
            <MenuItem danger={!user.is_disabled} onSelect={() => change(user, { is_disabled: !user.is_disabled })}>
              {user.is_disabled ? "Enable" : "Disable"}
            </MenuItem>
          </Menu>
        ),
    },
  ];
  return (
    <>
      <PageHeader
        title="Users"
        actions={
          <Button look="primary" icon={<Plus />} onClick={() => setInviting(true)}>
            Invite
          </Button>
        }
      />
      <PageBody>
        <ListState list={list}>
          {({ rows }) => (
            <Table
              label="Users"
              columns={columns}
              rows={rows}
              keyOf={({ id }) => id}
              empty={<Empty icon={<Users />} title="No users yet" />}
            />
          )}
        </ListState>
      </PageBody>
      <Invite open={inviting} onClose={() => setInviting(false)} />
    </>
  );
}

function Invite({ open, onClose }: { open: boolean; onClose: () => void }) {
  const form = useForm();
  const [url, setUrl] = useState<string | null>(null);
  const submit = form.submit(async (value) => {
    const body = { email: value("email") };
    const { data } = await client.http.json<{ url: string }>("POST", "/invitations", { body });
    setUrl(data.url);
  });
  const close = (): void => {
    setUrl(null);
    form.clear();
    onClose();
  };
  return (
    <Dialog open={open} onClose={close} title="Invite someone to this server">
      {url ? (
        <Secret label="Send this link to the person you’re inviting." value={url} />
      ) : (
        <form onSubmit={submit} className="flex flex-col gap-4">
          <Field label="Email" error={form.errorOf("email")}>
            {(ids) => <Input {...ids} name="email" type="email" required autoFocus />}
          </Field>
          <FormError form={form} />
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button look="primary" type="submit" busy={form.busy}>
              Create invite link
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
