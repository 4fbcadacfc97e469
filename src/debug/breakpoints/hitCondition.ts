/** Hit conditions: on which of its hits a breakpoint stops. `5` and `>= 5`: from the fifth on; `== 5`, `% 5`, `< 5`. */

export class HitCondition {
  private constructor(
    private readonly operator: string,
    private readonly count: number,
  ) {}

  /** @returns undefined where the text is none */
  static parse(text: string): HitCondition | undefined {
    const match = /^\s*(==?|>=?|<=?|%)?\s*(\d{1,15})\s*$/.exec(text);
    if (match === null) return undefined;
    const count = Number(match[2]);
    if (match[1] === "%" && count === 0) return undefined;
    return new HitCondition(match[1] ?? ">=", count);
  }

  /** @param hits 1 for the first */
  holds(hits: number): boolean {
    const { operator, count } = this;
    switch (operator) {
      case ">":
        return hits > count;
      case ">=":
        return hits >= count;
      case "<":
        return hits < count;
      case "<=":
        return hits <= count;
      case "%":
        return hits % count === 0;
      default:
        return hits === count;
    }
  }
}
