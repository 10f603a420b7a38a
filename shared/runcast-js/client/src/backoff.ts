/** How long to wait before each further attempt: 1, 2, 4, 8, 16, then 30 s for ever. */
const SECONDS = [1, 2, 4, 8, 16, 30] as const;

/**
 * A wait lies between half and all of its step, so that the clients of a server that restarts
 * do not come back in lockstep.
 */
export class Backoff {
  #attempt = 0;

  constructor(private readonly random: () => number = Math.random) {}

  get attempt(): number {
    return this.#attempt;
  }

  /** Milliseconds until the next attempt. */
  next(): number {
    const step = SECONDS[Math.min(this.#attempt, SECONDS.length - 1)] ?? 30;
    this.#attempt += 1;
    return Math.round(step * 1000 * (0.5 + this.random() / 2));
  }

  reset(): void {
    this.#attempt = 0;
  }
}
