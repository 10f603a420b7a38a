import { Dialog } from "../design/Dialog";
import { Kbd } from "../design/Kbd";
import { MOD } from "./platform";
import { setSingleKeys, useSingleKeys } from "./singleKeys";

const GROUPS: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  [
    "Anywhere",
    [
      [`${MOD} K`, "Command palette"],
      ["/", "Search on this page"],
      ["?", "This list"],
      ["g w", "Watch"],
      ["g i", "Inbox"],
      ["g p", "Projects"],
      ["g r", "Runs of the project"],
      ["g b", "Board of the project"],
      ["t", "Toggle theme"],
    ],
  ],
  [
    "Lists and boards",
    [
      ["j  k", "Next, previous"],
      ["Enter", "Open"],
      ["h  l", "Left, right column"],
      ["[  ]", "Move a subtask left, right"],
      ["J  K", "Move it down, up"],
    ],
  ],
  [
    "Inbox",
    [
      ["j  k", "Next, previous question"],
      ["y  n", "Allow, deny"],
      ["1  9", "The option with this number"],
    ],
  ],
  [
    "Log viewer",
    [
      ["e", "Next error"],
      ["f", "Follow"],
      ["n  N", "Next, previous match"],
      ["Home  End", "First line, newest line"],
      ["Esc", "Clear selection"],
      ["[  ]", "Previous, next run"],
    ],
  ],
];

export function ShortcutSheet({ open, onClose }: { open: boolean; onClose: () => void }) {
  const areOn = useSingleKeys();
  return (
    <Dialog open={open} onClose={onClose} title="Keyboard shortcuts" wide>
      <div className="grid gap-6 sm:grid-cols-2 lg:grid-cols-4">
        {GROUPS.map(([title, rows]) => (
          <section key={title}>
            <h3 className="mb-2 text-sm font-semibold">{title}</h3>
            <dl className="flex flex-col gap-1.5">
              {rows.map(([keys, text]) => (
                <div key={keys} className="flex items-center justify-between gap-3">
                  <dt className="text-sm text-muted">{text}</dt>
                  <dd className="flex shrink-0 gap-1">
                    {keys.split("  ").map((key) => (
                      <Kbd key={key}>{key}</Kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <label className="mt-5 flex items-center gap-2 border-t pt-4 text-sm">
        <input type="checkbox" checked={areOn} onChange={({ target }) => setSingleKeys(target.checked)} />
        Single-key shortcuts (shortcuts with {MOD} always work)
      </label>
    </Dialog>
  );
}
