/**
 * Positions in several projects: `7f3a9c2e:17,0b12d4aa:4711` names each of them by the end of its id, or by its
 * whole id, and says up to which number its events were seen. The last element is that of the event at hand.
 */

/** The elements of a position: what each calls its project, and the number. */
export function elementsOf(position: string | null): [name: string, number: number][] {
  if (!position) return [];
  return position.split(",").map((element) => {
    const [name = "", number = ""] = element.split(":");
    return [name, Number(number)];
  });
}

/** The last element of a position, without taking the others apart. */
export function lastOf(position: string): [name: string, number: number] {
  const [name = "", number = ""] = position.slice(position.lastIndexOf(",") + 1).split(":");
  return [name, Number(number)];
}

/** The project that a position calls so, or null. */
export function projectNamed(name: string, projectIds: Iterable<string>): string | null {
  for (const id of projectIds) {
    if (id === name || id.replaceAll("-", "").endsWith(name)) return id;
  }
  return null;
}

/** Where a position stands in each of these projects that it names. */
export function numbersIn(position: string | null, projectIds: Iterable<string>): Map<string, number> {
  const ids = [...projectIds];
  const numbers = new Map<string, number>();
  for (const [name, number] of elementsOf(position)) {
    const id = projectNamed(name, ids);
    if (id !== null && Number.isSafeInteger(number)) numbers.set(id, number);
  }
  return numbers;
}

/** A position of numbers by project. */
export const positionOf = (numbers: Readonly<Record<string, number>>): string | null =>
  Object.entries(numbers).map(([project, number]) => `${project}:${number}`).join(",") || null;

/** Epochs by project, as the server takes and as other tabs are told them. */
export const epochText = (epochs: ReadonlyMap<string, string>): string | null =>
  [...epochs].map(([project, epoch]) => `${project}:${epoch}`).join(",") || null;

export function epochsOf(text: string | null): Map<string, string> {
  const pairs = (text ?? "").split(",").filter(Boolean);
  return new Map(pairs.map((pair) => pair.split(":") as [string, string]));
}
