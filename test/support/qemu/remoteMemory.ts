/** What our own walker needs of a machine in QEMU: its paging state, and its tables read page by page. */
import type { PagingLevels, PagingState, TableMemory } from "../../../src/paging/state";
import type { GdbRemote, RemoteRegisters } from "./gdbRemote";

const PAGE = 4096;

class MissingPage extends Error {
  constructor(readonly page: number) {
    super();
  }
}

/**
 * The result of a synchronous look at physical memory. It begins anew for each page that it turns out to need, so it
 * must have no effects of its own.
 * @throws RemoteError
 */
export async function looking<T>(gdb: GdbRemote, look: (memory: TableMemory) => T): Promise<T> {
  const pages = new Map<number, Buffer>();
  const memory: TableMemory = {
    read32(address) {
      const page = address - (address % PAGE);
      const bytes = pages.get(page);
      if (bytes === undefined) throw new MissingPage(page);
      return bytes.readInt32LE(address - page);
    },
  };
  for (;;) {
    try {
      return look(memory);
    } catch (error) {
      if (!(error instanceof MissingPage)) throw error;
      pages.set(error.page, await gdb.readPhysical(error.page, PAGE));
    }
  }
}

/** The paging state of registers in IA-32e mode or with paging off, with all features of entries. */
export function pagingStateOf({ cr0, cr3, cr4, efer }: RemoteRegisters): PagingState {
  const bit = (value: bigint, number: number) => ((value >> BigInt(number)) & 1n) === 1n;
  let levels: PagingLevels = 0;
  if (bit(cr0, 31)) levels = bit(efer, 10) ? (bit(cr4, 12) ? 5 : 4) : bit(cr4, 5) ? 3 : 2;
  if (levels === 2 || levels === 3) throw new RangeError("32-bit and PAE paging are not recorded");
  return {
    levels,
    root: Number(cr3 & 0xffffffffff000n),
    pdpte: new Int32Array(8),
    maxPhysicalBits: 52,
    pse: bit(cr4, 4),
    pse36: true,
    pages1G: true,
    nxe: bit(efer, 11),
    wp: bit(cr0, 16),
    smep: bit(cr4, 20),
    smap: bit(cr4, 21),
    pke: bit(cr4, 22),
    pks: bit(cr4, 24),
    pkru: 0,
    pkrs: 0,
  };
}
