/** Large objects of the image, found page by page: symbol tables have no order by size. */
import type { LoadedSection, Symbols } from "../../symbols/symbols";

const PAGE = 4096;
/** Pages of sections that are looked at. */
const MOST_PAGES = 32768;
/** Objects that are listed. */
const MOST_OBJECTS = 200;

/** An object as linked; the end is exclusive. */
export interface LargeObject {
  readonly name: string;
  readonly address: bigint;
  readonly size: number;
}

/** Objects of a page or more in the sections that hold no code, by address. */
export function largeObjects(symbols: Symbols): LargeObject[] {
  const found = new Map<string, LargeObject>();
  let pages = 0;
  for (const section of symbols.sections) {
    if (section.executable) continue;
    for (const address of pageStarts(section)) {
      if (++pages > MOST_PAGES || found.size >= MOST_OBJECTS) return [...found.values()];
      const hit = symbols.nameOf(address);
      if (hit === undefined || found.has(hit.name)) continue;
      const size = Number(symbols.sizeOf(hit.name) ?? 0n);
      if (size >= PAGE) found.set(hit.name, { name: hit.name, address: address - BigInt(hit.offset), size });
    }
  }
  return [...found.values()];
}

function* pageStarts({ address, size }: LoadedSection): Generator<bigint> {
  const end = address + BigInt(size);
  const first = (address + BigInt(PAGE - 1)) & ~BigInt(PAGE - 1);
  for (let page = first; page < end; page += BigInt(PAGE)) yield page;
}
