import { Field, Select } from "../design/Field";
import { ROLES } from "./roles";

/** Chooses a role of a project, each with what it may do. */
export function RoleField({ initial }: { initial: string }) {
  return (
    <Field label="Role">
      {(ids) => (
        <Select {...ids} name="role" defaultValue={initial}>
          {ROLES.map(([role, text]) => (
            <option key={role} value={role}>
              {text}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}
