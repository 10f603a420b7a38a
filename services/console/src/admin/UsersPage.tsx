import { Plus, Users } from "lucide-react";
import { useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { Dialog } from "../design/Dialog";
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
import { Invite } from "../projects/Invite";
import type { Schema } from "../session/schemas";

type User = Schema<"UserShown">;

export function UsersPage() {
  useTitle("Users");
  const me = useMe();
  const say = useToast();
  const [inviting, setInviting] = useState(false);
  const [link, setLink] = useState<{ name: string; url: string } | null>(null);
  const list = useList<User>("/admin/users", "users", { limit: 500 });
  const change = async (user: User, body: Schema<"UserPatch">): Promise<void> => {
    try {
      await client.http.send("PATCH", `/admin/users/${user.id}`, { body });
      await list.refetch();
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const signInLink = async ({ id, name }: User): Promise<void> => {
    try {
      const { data } = await client.http.json<Schema<"SignInLink">>("POST", `/admin/users/${id}/sign-in-link`);
      setLink({ name, url: data.url });
    } catch (error) {
      say((error as Error).message, "bad");
    }
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
    { title: "Created", className: "text-muted", cell: ({ created_at: at }) => <Ago at={at} /> },
    {
      title: "",
      className: "text-right",
      cell: (user) =>
        user.id !== me.id && (
          <UserMenu user={user} onChange={change} onLink={() => void signInLink(user)} />
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
      <Invite open={inviting} onClose={() => setInviting(false)} project={null} />
      <Dialog open={link !== null} onClose={() => setLink(null)} title={`Sign-in link for ${link?.name ?? ""}`}>
        {link && <Secret label="Signs in the first person who opens it, once." value={link.url} />}
      </Dialog>
    </>
  );
}

interface UserMenuProps {
  user: User;
  onChange: (user: User, body: Schema<"UserPatch">) => Promise<void>;
  onLink: () => void;
}

/** What takes rights away asks first. */
function UserMenu({ user, onChange, onLink }: UserMenuProps) {
  const { name, is_admin: isAdmin, is_disabled: isDisabled } = user;
  return (
    <Confirm
      title={`Remove admin rights of ${name}?`}
      text="They keep the projects that they are members of."
      action="Remove admin"
      onConfirm={() => onChange(user, { is_admin: false })}
    >
      {(askAdmin) => (
        <Confirm
          title={`Disable ${name}?`}
          text="They are signed out everywhere, and their keys stop working, until you enable them again."
          action="Disable"
          onConfirm={() => onChange(user, { is_disabled: true })}
        >
          {(askDisable) => (
            <Menu trigger={<Button size="sm">Actions</Button>}>
              <MenuItem onSelect={onLink}>Create a sign-in link</MenuItem>
              <MenuItem onSelect={() => (isAdmin ? askAdmin() : void onChange(user, { is_admin: true }))}>
                {isAdmin ? "Remove admin" : "Make admin"}
              </MenuItem>
              <MenuItem
                danger={!isDisabled}
                onSelect={() => (isDisabled ? void onChange(user, { is_disabled: false }) : askDisable())}
              >
                {isDisabled ? "Enable" : "Disable"}
              </MenuItem>
            </Menu>
          )}
        </Confirm>
      )}
    </Confirm>
  );
}
