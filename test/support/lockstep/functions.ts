/** The functions of a kernel by address, and which of them have been entered. */
import { type ElfImage, SHT_SYMTAB } from "../../../src/symbols/elf";

export interface KernelFunction {
  readonly name: string;
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
}

const SYMBOL_SIZE = 24;
const STT_FUNC = 2;

/** All functions of a 64-bit image that have a size, by address. */
export function functionsOf(image: ElfImage): KernelFunction[] {
  const table = image.sections.find(({ type }) => type === SHT_SYMTAB);
  if (table === undefined) throw new Error("the kernel has no symbols");
  const symbols = Buffer.from(image.dataOf(table));
  const strings = Buffer.from(image.dataOf(image.sections[table.link]));
  const found = new Map<bigint, KernelFunction>();
  for (let at = 0; at + SYMBOL_SIZE <= symbols.length; at += SYMBOL_SIZE) {
    if ((symbols[at + 4] & 15) !== STT_FUNC) continue;
    const start = symbols.readBigUInt64LE(at + 8);
    const size = symbols.readBigUInt64LE(at + 16);
    if (size === 0n || found.has(start)) continue;
    const from = symbols.readUInt32LE(at);
    const name = strings.toString("latin1", from, strings.indexOf(0, from));
    found.set(start, { name, start, end: start + size });
  }
  return [...found.values()].sort((a, b) => (a.start < b.start ? -1 : 1));
}

export class Entered {
  /** Those not entered yet, by address. */
  readonly unseen: Map<bigint, KernelFunction>;
  /** Those entered, in the order of their first entry. */
  readonly seen: KernelFunction[] = [];
  private readonly colds: ReadonlyMap<string, KernelFunction>;
  private last: KernelFunction | undefined;

  constructor(private readonly functions: readonly KernelFunction[]) {
    this.unseen = new Map(functions.map((each) => [each.start, each]));
    const colds = functions.filter(({ name }) => name.endsWith(".cold"));
    this.colds = new Map(colds.map((each) => [each.name, each]));
  }

  /** Takes note of an address where code runs. @returns the functions, and the parts of them, that are new */
  at(address: bigint): KernelFunction[] {
    const { last } = this;
    if (last !== undefined && address >= last.start && address < last.end) return [];
    const found = this.find(address);
    if (found === undefined) return [];
    this.last = found;
    if (!this.unseen.delete(found.start)) return [];
    this.seen.push(found);
    const cold = this.colds.get(`${found.name}.cold`);
    return cold === undefined ? [found] : [found, cold];
  }

  private find(address: bigint): KernelFunction | undefined {
    let [low, high] = [0, this.functions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.functions[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.functions[low - 1];
    return found !== undefined && address < found.end ? found : undefined;
  }
}
