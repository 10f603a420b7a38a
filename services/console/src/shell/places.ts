import type { AnyRouter, ParsedLocation } from "@tanstack/react-router";

/** The page itself, and what scrolls inside a page by its own name (`data-place="runs"`). */
const SCROLLERS = "#content, [data-place]";
/** Visits whose places are remembered; older ones are forgotten. */
const MAX_VISITS = 100;

type Places = ReadonlyMap<string, number>;

/**
 * Back (or forward) to a page leads to where it was left; a page that is opened begins at its top.
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
    visits.set(key, new Map(scrollers().map((each) => [nameOf(each), each.scrollTop])));
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

/** A visit of a page: the same address opened twice is two of them. */
const keyOf = ({ state, href }: ParsedLocation): string => state.__TSR_key ?? href;

const scrollers = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>(SCROLLERS)];

const nameOf = (scroller: HTMLElement): string => scroller.dataset.place ?? scroller.id;
