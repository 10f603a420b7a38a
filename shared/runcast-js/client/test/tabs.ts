/** The tabs of a browser for tests: their locks, and a channel whose tabs may be stopped. */
import type { Tabs } from "../src/index.js";

interface Request {
  isHeld: boolean;
  start: () => void;
  steal: () => void;
}

/** Locks as a browser has them: first come, first served, released when the holder is done, or stolen. */
export class Locks {
  readonly #queues = new Map<string, Request[]>();

  request = (name: string, options: LockOptions, granted: () => Promise<void>): Promise<void> => {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise((resolve, reject) => {
      const drop = (request: Request): void => {
        const at = queue.indexOf(request);
        if (at !== -1) queue.splice(at, 1);
        if (queue[0] && !queue[0].isHeld) queue[0].start();
      };
      const request: Request = {
        isHeld: false,
        start: () => {
          request.isHeld = true;
          queueMicrotask(() => void granted().then(() => (drop(request), resolve())));
        },
        steal: () => {
          queue.splice(queue.indexOf(request), 1);
          reject(new DOMException("stolen", "AbortError"));
        },
      };
      options.signal?.addEventListener("abort", () => !request.isHeld && drop(request));
      if (options.steal) {
        if (queue[0]?.isHeld) queue[0].steal();
        queue.unshift(request);
        request.start();
      } else if (queue.push(request) === 1) request.start();
    });
  };
}

export class Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  /** A tab that is stopped sends nothing; what it is sent waits. */
  isStopped = false;
  #waiting: unknown[] = [];
  sent: unknown[] = [];
  constructor(private readonly peers: Set<Channel>) {
    peers.add(this);
  }
  postMessage(data: unknown): void {
    if (this.isStopped) return;
    const copy: unknown = structuredClone(data);
    this.sent.push(copy);
    for (const peer of this.peers) {
      if (peer === this) continue;
      if (peer.isStopped) peer.#waiting.push(copy);
      else queueMicrotask(() => peer.onmessage?.({ data: copy }));
    }
  }
  wake(hasKept: boolean): void {
    this.isStopped = false;
    const waiting = this.#waiting.splice(0);
    for (const data of hasKept ? waiting : []) queueMicrotask(() => this.onmessage?.({ data }));
  }
  close(): void {
    this.peers.delete(this);
  }
}

/** What tabs of one browser share, and the channels that they opened, in order. */
export function browser(): { tabs: Tabs; channels: Channel[] } {
  const peers = new Set<Channel>();
  const channels: Channel[] = [];
  const tabs: Tabs = {
    locks: new Locks() as unknown as Tabs["locks"],
    channel: () => {
      const channel = new Channel(peers);
      channels.push(channel);
      return channel as unknown as BroadcastChannel;
    },
  };
  return { tabs, channels };
}
