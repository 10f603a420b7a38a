import { Button } from "../design/Button";
import { Field, Input, Select } from "../design/Field";
import { Card } from "../design/Surface";
import { useToast } from "../design/Toasts";
import { FieldProblem, FormError, type Values, useForm } from "../design/useForm";
import { KINDS, type Rule, type Target, type When } from "./settings";

interface RuleFormProps {
  rule: Rule;
  targets: readonly Target[];
  onSave: (changed: Rule) => Promise<void>;
  onRemove: () => Promise<void>;
}

/** One rule: what, where, after how long, and not at which hours. */
export function RuleForm({ rule, targets, onSave, onRemove }: RuleFormProps) {
  const say = useToast();
  const form = useForm();
  const submit = form.submit(async (value, element) => {
    await onSave(read(rule, value, element));
    say("Saved");
  });
  const { quiet } = rule;
  return (
    <Card className="p-4">
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Choices label="Tell me of" name="when" options={KINDS} chosen={rule.when} />
        <Choices label="At" name="to" options={targets.map(({ id, name }) => [id, name ?? id])} chosen={rule.to} />
        <div className="flex flex-wrap gap-4">
          <Field label="Once it has lasted, in seconds" error={form.errorOf("after_s")}>
            {(ids) => (
              <Input {...ids} name="after_s" type="number" min={0} max={86_400} required defaultValue={rule.after_s} />
            )}
          </Field>
          <Field label="Projects">
            {(ids) => (
              <Select {...ids} name="projects" defaultValue={typeof rule.projects === "string" ? rule.projects : "some"}>
                <option value="all">All that I may read</option>
                <option value="mine">Those that I am a member of</option>
                {typeof rule.projects !== "string" && <option value="some">{rule.projects.join(", ")}</option>}
              </Select>
            )}
          </Field>
        </div>
        <div className="flex flex-wrap gap-4">
          <Field label="Quiet from" error={form.errorOf("from")}>
            {(ids) => <Input {...ids} name="from" type="time" defaultValue={quiet?.from ?? ""} />}
          </Field>
          <Field label="to" error={form.errorOf("to_hour")}>
            {(ids) => <Input {...ids} name="to_hour" type="time" defaultValue={quiet?.to ?? ""} />}
          </Field>
          <Field label="in the zone">
            {(ids) => (
              <Select {...ids} name="tz" defaultValue={quiet?.tz ?? ownZone()}>
                {zones(quiet?.tz).map((zone) => (
                  <option key={zone} value={zone}>
                    {zone}
                  </option>
                ))}
              </Select>
            )}
          </Field>
        </div>
        <Choices label="Told in quiet hours, too" name="except" options={KINDS} chosen={quiet?.except ?? ["permission"]} />
        <label className="flex items-center gap-2 text-sm">
          <input type="checkbox" name="only_away" defaultChecked={rule.only_away} />
          Only while I am away from my terminal
        </label>
        <FormError form={form} />
        <div className="flex gap-2">
          <Button type="submit" busy={form.busy}>
            Save
          </Button>
          <Button look="danger" onClick={() => void onRemove()}>
            Remove
          </Button>
        </div>
      </form>
    </Card>
  );
}

interface ChoicesProps {
  label: string;
  name: string;
  options: readonly (readonly [string, string])[];
  chosen: readonly string[];
}

function Choices({ label, name, options, chosen }: ChoicesProps) {
  return (
    <fieldset className="flex flex-wrap items-center gap-x-4 gap-y-1.5">
      <legend className="mb-1 text-sm font-medium">{label}</legend>
      {options.map(([value, text]) => (
        <label key={value} className="flex items-center gap-1.5 text-sm">
          <input type="checkbox" name={name} value={value} defaultChecked={chosen.includes(value)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

/** The rule as it was filled in. Throws a `FieldProblem` for hours of which one is missing. */
function read(rule: Rule, value: Values, element: HTMLFormElement): Rule {
  const all = (name: string): string[] => new FormData(element).getAll(name).map(String);
  const from = value("from");
  const to = value("to_hour");
  if (!from !== !to) throw new FieldProblem(from ? "to_hour" : "from", "Quiet hours have a beginning and an end");
  const projects = value("projects");
  return {
    when: all("when") as When[],
    to: all("to"),
    projects: projects === "some" ? rule.projects : (projects as "all" | "mine"),
    after_s: Number(value("after_s")),
    only_away: value("only_away") !== "",
    quiet: from ? { from, to, tz: value("tz"), except: all("except") as When[] } : null,
  };
}

const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The zones that the browser knows, and the one that is set, which may go by an older name. */
function zones(set: string | undefined): readonly string[] {
  return [...new Set([...(set ? [set] : []), ownZone(), "UTC", ...Intl.supportedValuesOf("timeZone")])];
}
