/** Deterministic pseudo-random numbers: xoshiro128** (Blackman and Vigna), seeded with a text. */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  constructor(seed: string) {
    let hash = 0x811c9dc5;
    const word = (): number => {
      for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193);
      hash ^= hash >>> 15;
      return hash | 1;
    };
    this.a = word();
    this.b = word();
    this.c = word();
    this.d = word();
    for (let i = 0; i < 8; i++) this.next();
  }

  /** 32 random bits, unsigned. */
  next(): number {
    const scrambled = Math.imul(this.b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const t = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= t;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result;
  }

  /** 0..limit - 1 */
  below(limit: number): number {
    return this.next() % limit;
  }

  /** Both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True in so many of 100 cases. */
  percent(share: number): boolean {
    return this.below(100) < share;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** 64 random bits. */
  word64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }

  /** A 64-bit value of the kind at which arithmetic goes wrong: near 0, near a sign bit, one bit, short, any. */
  operand(): bigint {
    const near = BigInt(this.between(-2, 2));
    switch (this.below(8)) {
      case 0:
        return BigInt.asUintN(64, near);
      case 1:
        return BigInt.asUintN(64, (1n << this.pick([7n, 8n, 15n, 16n, 31n, 32n, 63n])) + near);
      case 2:
        return BigInt.asUintN(64, near - (1n << this.pick([7n, 15n, 31n])));
      case 3:
        return 1n << BigInt(this.below(64));
      case 4:
        return this.word64() >> BigInt(this.below(64));
      case 5:
        return BigInt(this.below(256)) * 0x0101010101010101n;
      default:
        return this.word64();
    }
  }
}
