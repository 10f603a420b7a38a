import type { AnyRouter, ParsedLocation } from "@tanstack/react-router";

/** The page itself, and what scrolls inside a page by its own name (`data-place="runs"`). */
const SCROLLERS = "#content, [data-place]";
/** Visits whose places are remembered; older ones are forgotten. */
const MAX_VISITS = 100;
/** Where the place of a page that is loaded again is kept meanwhile. */
const KEPT = "runcast.places";
/** After a reload lists come piece by piece: so long they are scrolled to where they were. */
const RELOADING_MS = 10_000;
/** How often it is looked meanwhile whether they have come. */
const LOOK_MS = 50;
const OWN_SCROLLING = ["wheel", "pointerdown", "keydown"] as const;

type Places = ReadonlyMap<string, number>;

/**
 * Back (or forward) to a page leads to where it was left, and so does a reload; a page that is opened begins at its
 * top.
 *
 * Only named scrollers are touched, and only on the way from one page to another: a log keeps its place
 * itself, also while the address beneath it changes to the line that it goes to.
 */
export function keepPlaces(router: AnyRouter): void {
  const visits = new Map<string, Places>();
  router.subscribe("onBeforeLoad", ({ fromLocation, pathChanged }) => {
    if (!fromLocation || !pathChanged) return;
    const key = keyOf(fromLocation);
    visits.delete(key);
    visits.set(key, placesNow());
    for (const oldest of visits.keys()) {
      if (visits.size <= MAX_VISITS) break;
      visits.delete(oldest);
    }
  });
  router.subscribe("onRendered", ({ toLocation, pathChanged }) => {
    if (!pathChanged) return;
    const places = visits.get(keyOf(toLocation));
    // The router itself shows what the address names.
    if (!places && toLocation.hash) return;
    for (const each of scrollers()) each.scrollTop = places?.get(nameOf(each)) ?? 0;
  });
}

/** Keeps the place over a reload of the page, until the person scrolls. */
export function keepPlaceOverReloads(router: AnyRouter): void {
  const keyNow = (): string => keyOf(router.latestLocation as ParsedLocation);
  addEventListener("pagehide", () => {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify([keyNow(), [...placesNow()]]));
    } catch {
      // Storage is off: the page begins at its top.
    }
  });
  const kept = keptPlaces();
  if (kept?.[0] !== keyNow()) return;
  const stop = new AbortController();
  for (const type of OWN_SCROLLING) addEventListener(type, () => stop.abort(), { capture: true, signal: stop.signal });
  const end = performance.now() + RELOADING_MS;
  let left = kept[1].filter(([, top]) => top > 0);
  const scroll = (): void => {
    if (stop.signal.aborted) return;
    // One that isn't on the page yet keeps no other from its place.
    if (keyNow() === kept[0]) left = left.filter((place) => !isThere(place));
    if (performance.now() > end || keyNow() !== kept[0] || left.length === 0) stop.abort();
    else setTimeout(scroll, LOOK_MS);
  };
  requestAnimationFrame(scroll);
}

/** Whether a scroller is where it was, after an attempt to bring it there. */
function isThere([name, top]: readonly [string, number]): boolean {
  const scroller = scrollers().find((each) => nameOf(each) === name);
  if (!scroller) return false;
  if (Math.abs(scroller.scrollTop - top) > 1) scroller.scrollTop = top;
  return Math.abs(scroller.scrollTop - top) <= 1;
}

function keptPlaces(): [key: string, places: [string, number][]] | null {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "null") as ReturnType<typeof keptPlaces>;
  } catch {
    return null;
  }
}

const placesNow = (): Places => new Map(scrollers().map((each) => [nameOf(each), each.scrollTop]));

/** A visit of a page: the same address opened twice is two of them. */
const keyOf = ({ state, href }: ParsedLocation): string => state.__TSR_key ?? href;

const scrollers = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>(SCROLLERS)];

const nameOf = (scroller: HTMLElement): string => scroller.dataset.place ?? scroller.id;
