/**
 * A board of a thousand cards has a thousand places, but only what is near the screen is drawn in them.
 * Elsewhere a place keeps the height that its content had last, so that nothing jumps.
 */
import { type ReactNode, type RefObject, createContext, useCallback, useContext, useEffect, useState } from "react";

/** How far beyond the screen things are drawn: more than a turn of the wheel. */
const MARGIN = "900px 600px";

type Tell = (isNear: boolean) => void;

/** One observer of the scrolling element for all places in it. */
class Watcher {
  readonly #tells = new Map<Element, Tell>();
  #observer: IntersectionObserver | null = null;

  open(root: Element): void {
    this.#observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) this.#tells.get(target)?.(isIntersecting);
      },
      { root, rootMargin: MARGIN },
    );
    for (const element of this.#tells.keys()) this.#observer.observe(element);
  }

  close(): void {
    this.#observer?.disconnect();
    this.#observer = null;
  }

  watch(element: Element, tell: Tell): () => void {
    this.#tells.set(element, tell);
    this.#observer?.observe(element);
    return () => {
      this.#tells.delete(element);
      this.#observer?.unobserve(element);
    };
  }
}

const NearContext = createContext<Watcher | null>(null);

/** Lets the places in `host`, which scrolls, know whether they are near the screen. */
export function NearScreen({ host, children }: { host: RefObject<HTMLElement | null>; children: ReactNode }) {
  const [watcher] = useState(() => new Watcher());
  useEffect(() => {
    if (host.current) watcher.open(host.current);
    return () => watcher.close();
  }, [host, watcher]);
  return <NearContext.Provider value={watcher}>{children}</NearContext.Provider>;
}

interface Near<E extends HTMLElement> {
  ref: (element: E | null) => (() => void) | undefined;
  isNear: boolean;
  /** The height that its content had last, in pixels, or null before it was ever drawn. */
  height: number | null;
}

/** Whether the element of `ref` is near the screen. What has the focus, is dragged, or holds an open dialog stays drawn. */
export function useNear<E extends HTMLElement>(): Near<E> {
  const watcher = useContext(NearContext);
  const [state, setState] = useState<{ isNear: boolean; height: number | null }>({ isNear: false, height: null });
  const ref = useCallback(
    (element: E | null) => {
      if (!element || !watcher) return undefined;
      return watcher.watch(element, (isNear) => {
        if (!isNear && element.matches(":focus-within, [data-dragged], :has([data-dragged], [data-keep])")) return;
        const height = element.offsetHeight;
        setState((known) => (known.isNear === isNear ? known : { isNear, height: isNear ? known.height : height }));
      });
    },
    [watcher],
  );
  return { ref, ...state };
}
