/**
 * Which of a browser's tabs leads: one at a time, and never one that doesn't answer.
 *
 * With Web Locks the holder of a lock leads; the browser passes it on when the holder's tab closes. A tab
 * that is stopped (a phone suspends it, a debugger holds it) keeps its lock, so the others ask whether it is
 * there, and a tab that gets no answer steals the lock. Without locks (plain http) a tab leads when no one
 * answers it; of two that do, the one with the smaller name goes on. Questions and answers are messages,
 * which browsers deliver to hidden tabs without delay; timers there may be a minute late.
 */

export type LeadershipMessage =
  | { kind: "ask"; tab: string }
  | { kind: "answer"; tab: string }
  | { kind: "left"; tab: string };

/** How often a tab asks whether its leader is there. */
export const ASK_MS = 1_500;
/** A leader that answers nothing for this long is replaced. */
export const SILENT_MS = 4_000;

export interface LeadershipOptions {
  locks: Pick<LockManager, "request"> | null;
  /** The lock's name. */
  name: string;
  tab: string;
  send: (message: LeadershipMessage) => void;
  onLead: () => void;
  /** Another tab leads now: what the lead opened has to be closed. */
  onYield: () => void;
}

export class Leadership {
  isLeader = false;
  #heardAt = Date.now();
  #release: (() => void) | null = null;
  #isClosed = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: LeadershipOptions) {
    this.#timer = setInterval(() => this.#look(), ASK_MS);
    options.send({ kind: "ask", tab: options.tab });
    if (options.locks) this.#queue({});
    else setTimeout(() => this.#look(), 300);
  }

  receive(message: LeadershipMessage): void {
    const { tab, send } = this.options;
    if (message.kind === "ask") {
      if (this.isLeader) send({ kind: "answer", tab });
      return;
    }
    if (message.kind === "left") {
      if (!this.options.locks && !this.isLeader) this.#heardAt = -Infinity;
      this.#look();
      return;
    }
    this.#heardAt = Date.now();
    // With locks only the lock decides: a tab that lost it while it was stopped may still answer.
    if (!this.isLeader || this.options.locks) return;
    if (message.tab < tab) this.#yield();
    else send({ kind: "answer", tab });
  }

  /** Any other message of the leader is a sign of life too. */
  heard(): void {
    this.#heardAt = Date.now();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    if (this.isLeader) this.options.send({ kind: "left", tab: this.options.tab });
    this.isLeader = false;
    this.#release?.();
  }

  #look(): void {
    if (this.#isClosed || this.isLeader) return;
    const silence = Date.now() - this.#heardAt;
    const patience = this.options.locks ? SILENT_MS : Math.min(SILENT_MS, 2 * ASK_MS);
    if (silence > patience) {
      this.#heardAt = Date.now();
      if (this.options.locks) this.#queue({ steal: true });
      else this.#lead();
    } else this.options.send({ kind: "ask", tab: this.options.tab });
  }

  #queue(how: { steal?: true }): void {
    const abort = new AbortController();
    const held = async (): Promise<void> => {
      if (this.#isClosed) return;
      await new Promise<void>((resolve) => {
        this.#release = resolve;
        this.#lead();
      });
    };
    const closing = this.#release;
    this.#release = () => {
      closing?.();
      abort.abort();
    };
    // A lock that is stolen rejects its holder's request, and can't be waited for with a signal.
    const options = how.steal ? how : { signal: abort.signal };
    this.options.locks?.request(this.options.name, options, held).catch(() => {
      if (this.#isClosed) return;
      this.#yield();
    });
  }

  #lead(): void {
    if (this.isLeader || this.#isClosed) return;
    this.isLeader = true;
    this.options.send({ kind: "answer", tab: this.options.tab });
    this.options.onLead();
  }

  #yield(): void {
    if (!this.isLeader) return;
    this.isLeader = false;
    this.#release = null;
    this.#heardAt = Date.now();
    this.options.onYield();
    if (this.options.locks) this.#queue({});
  }
}
