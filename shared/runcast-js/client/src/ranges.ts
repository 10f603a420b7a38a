/** A set of whole numbers kept as sorted, disjoint, inclusive ranges: line numbers mostly run on. */
export class Ranges {
  readonly #ranges: [number, number][] = [];

  /** Adds `n`; false when it was there already. */
  add(n: number): boolean {
    const ranges = this.#ranges;
    const last = ranges[ranges.length - 1];
    if (last && n === last[1] + 1) {
      last[1] = n;
      return true;
    }
    const at = this.#firstEndingAtOrAfter(n);
    const here = ranges[at];
    if (here && here[0] <= n) return false;
    const before = ranges[at - 1];
    const joinsBefore = before !== undefined && before[1] + 1 === n;
    const joinsHere = here !== undefined && here[0] - 1 === n;
    if (joinsBefore && joinsHere) {
      before[1] = here[1];
      ranges.splice(at, 1);
    } else if (joinsBefore) before[1] = n;
    else if (joinsHere) here[0] = n;
    else ranges.splice(at, 0, [n, n]);
    return true;
  }

  has(n: number): boolean {
    const range = this.#ranges[this.#firstEndingAtOrAfter(n)];
    return range !== undefined && range[0] <= n;
  }

  get ranges(): readonly (readonly [number, number])[] {
    return this.#ranges;
  }

  #firstEndingAtOrAfter(n: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.[1] ?? Infinity) < n) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
