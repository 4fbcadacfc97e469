/**
 * A second page walk, written from the SDM's tables with bigints and no thought of speed, to compare the real one
 * with. It shares nothing with it but the types of its inputs.
 */
import {
  ACCESS_AC,
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingState,
} from "../../src/paging/state";
import type { TestMemory } from "../support/paging";

export interface NaiveResult {
  /** Undefined where the access is allowed. */
  error?: number;
  /** Physical address of the access, where a page was reached. */
  physical?: bigint;
  size?: bigint;
  global?: boolean;
  /** Entries used: address, width in bytes, whether it is the leaf, whether it has A and D. */
  entries: { address: bigint; leaf: boolean; flags: boolean }[];
}

const bit = (value: bigint, n: number) => ((value >> BigInt(n)) & 1n) === 1n;
const field = (value: bigint, high: number, low: number) =>
  (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
const anyBit = (value: bigint, high: number, low: number) => high >= low && field(value, high, low) !== 0n;

/** Walks and checks; `address` is canonical. */
export function naiveWalk(s: PagingState, memory: TestMemory, address: bigint, access: number): NaiveResult {
  const user = (access & ACCESS_USER) !== 0;
  const write = (access & ACCESS_WRITE) !== 0;
  const fetch = (access & ACCESS_FETCH) !== 0;
  const entries: NaiveResult["entries"] = [];
  const base = (write ? 2 : 0) | (user ? 4 : 0) | (fetch && (s.smep || (s.nxe && s.levels >= 3)) ? 16 : 0);
  const M = s.maxPhysicalBits;
  let allWritable = true;
  let allUser = true;
  let noExecute = false;
  let table = BigInt(s.root);
  let leaf = 0n;
  let size = 0n;

  if (s.levels === 2) {
    const pdeAddress = table + 4n * field(address, 31, 22);
    const pde = BigInt(memory.read32(Number(pdeAddress)) >>> 0);
    if (!bit(pde, 0)) return { error: base, entries };
    allWritable &&= bit(pde, 1);
    allUser &&= bit(pde, 2);
    if (s.pse && bit(pde, 7)) {
      // Table 4-4. M is the lesser of 40 and MAXPHYADDR, 32 without PSE-36.
      const m = s.pse36 ? Math.min(40, M) : 32;
      if (bit(pde, 21) || anyBit(pde, 20, m - 19)) return { error: base | 9, entries };
      entries.push({ address: pdeAddress, leaf: true, flags: true });
      leaf = pde;
      size = 1n << 22n;
      table = (field(pde, 31, 22) << 22n) | (field(pde, 20, 13) << 32n);
    } else {
      entries.push({ address: pdeAddress, leaf: false, flags: true });
      const pteAddress = (field(pde, 31, 12) << 12n) + 4n * field(address, 21, 12);
      const pte = BigInt(memory.read32(Number(pteAddress)) >>> 0);
      if (!bit(pte, 0)) return { error: base, entries };
      allWritable &&= bit(pte, 1);
      allUser &&= bit(pte, 2);
      entries.push({ address: pteAddress, leaf: true, flags: true });
      leaf = pte;
      size = 1n << 12n;
      table = field(pte, 31, 12) << 12n;
    }
  } else {
    for (let level: number = s.levels; ; level--) {
      const shift = 12 + 9 * (level - 1);
      const register = s.levels === 3 && level === 3;
      const index = field(address, register ? 31 : shift + 8, shift);
      const entryAddress = table + 8n * index;
      const entry = register
        ? (BigInt(s.pdpte[Number(index) * 2 + 1]! >>> 0) << 32n) | BigInt(s.pdpte[Number(index) * 2]! >>> 0)
        : memory.read64(Number(entryAddress));
      if (!bit(entry, 0)) return { error: base, entries };
      if (!register) {
        const large = bit(entry, 7) && (level === 2 || level === 3);
        let reserved = anyBit(entry, 51, M) || (bit(entry, 63) && !s.nxe);
        if (s.levels === 3) reserved ||= anyBit(entry, 62, 52);
        if (level >= 4) reserved ||= bit(entry, 7);
        if (level === 3) reserved ||= large && (!s.pages1G || anyBit(entry, 29, 13));
        if (level === 2) reserved ||= large && anyBit(entry, 20, 13);
        if (reserved) return { error: base | 9, entries };
        allWritable &&= bit(entry, 1);
        allUser &&= bit(entry, 2);
        noExecute ||= bit(entry, 63);
        entries.push({ address: entryAddress, leaf: large || level === 1, flags: true });
        if (large || level === 1) {
          leaf = entry;
          size = 1n << BigInt(shift);
          table = field(entry, 51, shift) << BigInt(shift);
          break;
        }
      }
      table = field(entry, 51, 12) << 12n;
    }
  }

  const found = {
    physical: table + (address & (size - 1n)),
    size,
    global: bit(leaf, 8),
    entries,
  };
  // 4.6.1 and 4.6.2, one rule after another.
  const forbidden: boolean[] = [];
  let keyError = false;
  if (!fetch && s.levels >= 4) {
    const key = Number(field(leaf, 62, 59));
    const keys = allUser ? (s.pke ? s.pkru : 0) : s.pks ? s.pkrs : 0;
    const accessDisable = ((keys >>> (2 * key)) & 1) === 1;
    const writeDisable = ((keys >>> (2 * key)) & 2) === 2;
    const applies = allUser || !user;
    keyError = applies && (accessDisable || (writeDisable && write && (user || s.wp)));
    forbidden.push(keyError);
  }
  if (user) {
    forbidden.push(!allUser, write && !allWritable, fetch && noExecute);
  } else {
    const explicit = (access & ACCESS_IMPLICIT) === 0;
    const ac = (access & ACCESS_AC) !== 0;
    forbidden.push(!fetch && s.smap && allUser && !(explicit && ac));
    forbidden.push(write && s.wp && !allWritable);
    forbidden.push(fetch && noExecute);
    forbidden.push(fetch && s.smep && allUser);
  }
  if (forbidden.some((it) => it)) return { ...found, error: base | 1 | (keyError ? 32 : 0) };
  return found;
}
