import { visible } from "./visible";

/** Attributes that are read, by eye or aloud. What a form sends (`value`) stays as it is. */
const READ = ["title", "aria-label", "alt", "placeholder", "label"] as const;

/** An element's properties with the texts among them as a person may trust them; the same object if all are. */
export function shown(given: unknown): unknown {
  const props = given as Readonly<Record<string, unknown>>;
  const changed: Record<string, unknown> = {};
  for (const name of READ) {
    const text = props[name];
    if (typeof text === "string" && visible(text) !== text) changed[name] = visible(text);
  }
  const children = shownChild(props.children);
  if (children !== props.children) changed.children = children;
  return Object.keys(changed).length > 0 ? { ...props, ...changed } : props;
}

/** A text as it may be shown; a list is only made again if a text of it changes. */
function shownChild(child: unknown): unknown {
  if (typeof child === "string") return visible(child);
  if (!Array.isArray(child)) return child;
  const each = child.map(shownChild);
  return each.some((one, at) => one !== child[at]) ? each : child;
}
