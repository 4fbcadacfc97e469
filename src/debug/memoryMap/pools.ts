/** Pools of table pages: known by the symbols of the kernels that have them. */
import type { Target } from "../../target/target";
import type { Pool } from "../protocol/memoryMap";
import { toHex } from "../protocol/values";

/** The pool, the number of the next page that is given out, and where its size is set smaller. */
const KNOWN = [
  {
    pool: "early_dynamic_pgts",
    next: ["next_early_pgt"],
    limit: { symbol: "boot_settings", offset: 0 },
  },
] as const;
const PAGE = 4096;

/** @param isTable whether CR3 leads to a page */
export function poolsOf(target: Target, isTable: (physical: number) => boolean): Pool[] {
  return KNOWN.flatMap(({ pool, next, limit }) => {
    const start = physicalOf(target, pool);
    const size = Number(target.symbols.sizeOf(pool) ?? 0n);
    const pointer = next.map((name) => word(target, name, 0)).find((value) => value !== undefined);
    if (start === undefined || size < PAGE || pointer === undefined) return [];
    const slots = Math.floor(size / PAGE);
    const set = word(target, limit.symbol, limit.offset);
    return [
      {
        name: pool,
        start: toHex(start),
        slots,
        limit: set === undefined || set === 0 || set > slots ? slots : set,
        next: Math.min(pointer, slots),
        reached: Array.from({ length: slots }, (_, slot) => slot).filter((slot) =>
          isTable(start + slot * PAGE),
        ),
      },
    ];
  });
}

function physicalOf({ symbols }: Target, name: string): number | undefined {
  const address = symbols.addressOf(name);
  return address === undefined ? undefined : symbols.physicalOf(address);
}

/** An unsigned 32-bit variable. */
function word(target: Target, name: string, offset: number): number | undefined {
  const physical = physicalOf(target, name);
  return physical === undefined ? undefined : target.memory.read32(physical + offset) >>> 0;
}
