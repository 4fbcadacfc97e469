/** Pools of table pages: known by the symbols of the kernels that have them. */
import type { TablePage } from "../../paging/tables";
import type { Target } from "../../target/target";
import type { PoolSlot } from "../protocol/memoryMap";

interface PoolSymbols {
  /** The array of pages. */
  readonly pool: string;
  /** Of 32 bits: index of the next page that is given out. */
  readonly next: string;
  /** Of 32 bits: how many pages may be used; all of the array where it is missing or 0. */
  readonly limit?: { readonly symbol: string; readonly offset: number };
}

/** Linux since 3.9; early-fault, whose loader sets how many pages may be used. */
const KNOWN: readonly PoolSymbols[] = [
  { pool: "early_dynamic_pgts", next: "next_early_pgt", limit: { symbol: "boot_settings", offset: 0 } },
];
const PAGE = 4096;
/** A symbol of any size can be called like a pool. */
const MOST_SLOTS = 1024;

export interface PoolPages {
  readonly name: string;
  readonly start: number;
  readonly slots: readonly PoolSlot[];
  readonly limit: number;
  readonly next: number;
}

/**
 * The pools that the image has, with the state of each page.
 * @param tableAt the table that CR3 leads to at a physical address
 */
export function poolsOf(
  target: Target,
  tableAt: (physical: number) => TablePage | undefined,
  changed: (table: TablePage) => boolean,
): PoolPages[] {
  return KNOWN.flatMap((symbols) => {
    const start = physicalOf(target, symbols.pool);
    const pages = Number(target.symbols.sizeOf(symbols.pool) ?? 0n) / PAGE;
    const next = word(target, symbols.next, 0);
    if (start === undefined || next === undefined || pages < 1) return [];
    const count = Math.min(MOST_SLOTS, Math.floor(pages));
    const set =
      symbols.limit === undefined ? 0 : (word(target, symbols.limit.symbol, symbols.limit.offset) ?? 0);
    const limit = set === 0 ? count : Math.min(set, count);
    const slots = Array.from({ length: count }, (_, index): PoolSlot => {
      const table = tableAt(start + index * PAGE);
      if (table === undefined) return { state: index >= limit ? "beyond" : index < next ? "used" : "free" };
      return { state: "reached", level: table.level, ...(changed(table) ? { changed: true } : {}) };
    });
    return [{ name: symbols.pool, start, slots, limit, next: Math.min(next, count) }];
  });
}

function physicalOf({ symbols }: Target, name: string): number | undefined {
  const address = symbols.addressOf(name);
  return address === undefined ? undefined : symbols.physicalOf(address);
}

/** An unsigned 32-bit variable. */
function word(target: Target, name: string, offset: number): number | undefined {
  const physical = physicalOf(target, name);
  const place = physical === undefined ? undefined : physical + offset;
  return place === undefined || place % 4 !== 0 ? undefined : target.memory.read32(place) >>> 0;
}
