/**
 * The page walk (SDM vol. 3A, 4.3 to 4.7): the only one. The MMU, trees, hovers and the command line use it.
 *
 * A walk is split by question: which entry (`readEntry`), is it valid (`isReserved`), is it a page (`isPage`), are
 * the rights enough (`checkRights`), what does the error code say (`errorCodeOf`). It writes nothing;
 * `setAccessedDirty` does, for accesses of the CPU. No allocation, no BigInt: a 64-bit value is two int32 halves.
 */
import { ENTRY_LAYOUTS, entryCount, formatOf, levelShift, maskOf } from "./layout";
import {
  ACCESS_AC,
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingState,
  type TableMemory,
} from "./state";

/** Why a translation fails. */
export type FaultCause = number;
export const FAULT_NONE = 0;
export const FAULT_NOT_PRESENT = 1;
export const FAULT_RESERVED = 2;
/** A write without R/W, by user mode or with CR0.WP. */
export const FAULT_WRITE_PROTECT = 3;
/** A user-mode access to a supervisor-mode address. */
export const FAULT_SUPERVISOR_ONLY = 4;
export const FAULT_EXECUTE_DISABLE = 5;
export const FAULT_SMEP = 6;
export const FAULT_SMAP = 7;
/** PKRU.AD or PKRU.WD of the page's key. */
export const FAULT_KEY_ACCESS = 8;
export const FAULT_KEY_WRITE = 9;
/** IA32_PKRS.AD or IA32_PKRS.WD of the page's key. */
export const FAULT_PKRS_ACCESS = 10;
export const FAULT_PKRS_WRITE = 11;

/** Accumulated rights: R/W and U/S are ANDed over the levels, XD is ORed (SDM 4.6). */
export const RIGHT_WRITE = 2;
export const RIGHT_USER = 4;
export const RIGHT_XD = 8;
const ALL_RIGHTS = RIGHT_WRITE | RIGHT_USER;

/** Bits of the #PF error code (SDM 4.7). */
export const ERROR_P = 1;
export const ERROR_RSVD = 8;
export const ERROR_PK = 32;

const ENTRY_P = 1;
const ENTRY_A = 0x20;
const ENTRY_D = 0x40;
const ENTRY_PS = 0x80;
const ENTRY_G = 0x100;

/** The steps and the outcome of a walk. One object serves any number of walks. */
export class Walk {
  /** Entries read. For PAE the PDPTE register is a step too, with the address that it was loaded from. */
  stepCount = 0;
  readonly levels = new Uint8Array(5);
  readonly entryAddresses = new Float64Array(5);
  readonly entryLow = new Int32Array(5);
  readonly entryHigh = new Int32Array(5);

  /** The cursor: the level of the table to read next, its physical address, and the rights so far. */
  level = 0;
  table = 0;
  rights = ALL_RIGHTS;

  fault: FaultCause = FAULT_NONE;
  /** The level of the entry that is not present or has a reserved bit set. */
  faultLevel = 0;
  /** Physical address of the page, with FAULT_NONE and with faults of rights. */
  frame = 0;
  /** log2 of the page size: 12, 21, 22 or 30. */
  pageShift = 12;
  global = false;
  /** D of the leaf as it was read. */
  dirty = false;
  /** Protection key of the page (4- and 5-level only), 0..15. */
  key = 0;
  /** PAT, PCD, PWT of the leaf as an index 0..7 into IA32_PAT (SDM 4.9.2). */
  patIndex = 0;
}

/** What of the state decides how an entry reads. */
export type EntryState = Pick<
  PagingState,
  "levels" | "maxPhysicalBits" | "nxe" | "pages1G" | "pse" | "pse36"
>;

/** Reserved bits of an entry format that depend on nothing: [low, high] by level * 2 + (page ? 1 : 0). */
interface ReservedMasks {
  readonly low: Int32Array;
  readonly high: Int32Array;
}

function masksOf(levels: 2 | 3 | 4): ReservedMasks {
  const masks = { low: new Int32Array(12), high: new Int32Array(12) };
  const format = formatOf(levels);
  for (const { level, kind, fields } of ENTRY_LAYOUTS.filter((it) => it.format === format)) {
    const mask = maskOf(fields, "reserved");
    const index = level * 2 + (kind === "page" ? 1 : 0);
    masks.low[index] = Number(BigInt.asIntN(32, mask));
    masks.high[index] = Number(BigInt.asIntN(32, mask >> 32n));
  }
  return masks;
}

const MASKS_32 = masksOf(2);
const MASKS_PAE = masksOf(3);
const MASKS_LONG = masksOf(4);

/** Puts the cursor of a walk on the root. */
export function startWalk(state: PagingState, walk: Walk): void {
  walk.stepCount = 0;
  walk.level = state.levels;
  walk.table = state.root;
  walk.rights = ALL_RIGHTS;
}

/** Walks from the root to the end and checks an access. See `finishWalk`. */
export function walkLinear(
  state: PagingState,
  memory: TableMemory,
  low: number,
  high: number,
  access: number,
  walk: Walk,
): FaultCause {
  startWalk(state, walk);
  return finishWalk(state, memory, low, high, access, walk);
}

/**
 * Walks from the cursor to the end. Reads only; the canonical check is the caller's.
 * @param access ACCESS_* bits
 * @returns the cause of the fault, or FAULT_NONE; `walk` holds all else
 */
export function finishWalk(
  state: PagingState,
  memory: TableMemory,
  low: number,
  high: number,
  access: number,
  walk: Walk,
): FaultCause {
  if (state.levels === 0) return identity(low, walk);
  for (;;) {
    const step = readEntry(state, memory, low, high, walk);
    const entryLow = walk.entryLow[step];
    const entryHigh = walk.entryHigh[step];
    const { level } = walk;
    if ((entryLow & ENTRY_P) === 0) return fail(walk, FAULT_NOT_PRESENT, level);
    const page = isPage(state, level, entryLow);
    if (isReserved(state, level, page, entryLow, entryHigh)) return fail(walk, FAULT_RESERVED, level);
    walk.rights = rightsBelow(state, level, walk.rights, entryLow, entryHigh);
    if (page) {
      takeLeaf(state, walk, level, entryLow, entryHigh);
      walk.fault = checkRights(state, walk.rights, walk.key, access);
      walk.faultLevel = level;
      return walk.fault;
    }
    walk.table = tableAddress(state, entryLow, entryHigh);
    walk.level = level - 1;
  }
}

/** With paging off a linear address is a physical one. */
function identity(low: number, walk: Walk): FaultCause {
  walk.stepCount = 0;
  walk.rights = ALL_RIGHTS;
  walk.frame = (low & ~0xfff) >>> 0;
  walk.pageShift = 12;
  walk.global = false;
  walk.dirty = true;
  walk.key = 0;
  walk.patIndex = 0;
  walk.fault = FAULT_NONE;
  return FAULT_NONE;
}

function fail(walk: Walk, cause: FaultCause, level: number): FaultCause {
  walk.fault = cause;
  walk.faultLevel = level;
  return cause;
}

/** Reads the entry that the cursor and the address select; returns the number of the step. */
function readEntry(state: PagingState, memory: TableMemory, low: number, high: number, walk: Walk): number {
  const { level } = walk;
  const index = entryIndex(state, level, low, high);
  const step = walk.stepCount++;
  walk.levels[step] = level;
  if (state.levels === 2) {
    walk.entryAddresses[step] = walk.table + 4 * index;
    walk.entryLow[step] = memory.read32(walk.table + 4 * index);
    walk.entryHigh[step] = 0;
    return step;
  }
  const address = walk.table + 8 * index;
  walk.entryAddresses[step] = address;
  if (state.levels === 3 && level === 3) {
    walk.entryLow[step] = state.pdpte[2 * index];
    walk.entryHigh[step] = state.pdpte[2 * index + 1];
    return step;
  }
  walk.entryLow[step] = memory.read32(address);
  walk.entryHigh[step] = memory.read32(address + 4);
  return step;
}

/** The index of the entry that a linear address selects at a level. */
export function entryIndex(state: PagingState, level: number, low: number, high: number): number {
  const shift = levelShift(state.levels, level);
  const mask = entryCount(state.levels, level) - 1;
  if (shift >= 32) return (high >>> (shift - 32)) & mask;
  return shift > 23 ? ((low >>> shift) | (high << (32 - shift))) & mask : (low >>> shift) & mask;
}

/** Whether a present entry maps a page. A PS flag that has no meaning at its level is left to `isReserved`. */
export function isPage(state: EntryState, level: number, entryLow: number): boolean {
  if (level === 1) return true;
  if ((entryLow & ENTRY_PS) === 0) return false;
  if (level === 2) return state.levels !== 2 || state.pse;
  return level === 3 && state.levels >= 4 && state.pages1G;
}

/** Whether a present entry has a bit set that its mode, level and kind reserve. */
export function isReserved(
  state: EntryState,
  level: number,
  page: boolean,
  entryLow: number,
  entryHigh: number,
): boolean {
  const { levels } = state;
  const index = level * 2 + (page ? 1 : 0);
  if (levels === 2) {
    return (entryLow & (MASKS_32.low[index] | (page && level === 2 ? reservedPse36(state) : 0))) !== 0;
  }
  // The PDPTE registers were checked when they were loaded (SDM 4.4.1).
  if (levels === 3 && level === 3) return false;
  const masks = levels === 3 ? MASKS_PAE : MASKS_LONG;
  let reservedLow = masks.low[index];
  if (level === 3 && !state.pages1G) reservedLow |= ENTRY_PS;
  const reservedHigh =
    masks.high[index] | aboveMaxPhysical(state.maxPhysicalBits) | (state.nxe ? 0 : 1 << 31);
  return (entryLow & reservedLow) !== 0 || (entryHigh & reservedHigh) !== 0;
}

/** Address bits MAXPHYADDR..51 within the high half. */
function aboveMaxPhysical(maxPhysicalBits: number): number {
  return (-1 << (maxPhysicalBits - 32)) & 0xfffff;
}

/**
 * Bits of 13..20 of a 4 MiB PDE that are no address bits: all without PSE-36, else those above
 * M = min(40, MAXPHYADDR) (SDM 4.3, table 4-4).
 */
function reservedPse36(state: EntryState): number {
  const bits = state.pse36 ? Math.min(40, state.maxPhysicalBits) : 32;
  return (-1 << (bits - 32 + 13)) & 0x1fe000;
}

/** Whether a present PDPTE of PAE paging may not be loaded: #GP at MOV to CR3 and the like (SDM 4.4.1). */
export function pdpteReserved(low: number, high: number, maxPhysicalBits: number): boolean {
  const index = 3 * 2;
  return (
    (low & MASKS_PAE.low[index]) !== 0 ||
    (high & (MASKS_PAE.high[index] | aboveMaxPhysical(maxPhysicalBits))) !== 0
  );
}

/** The rights below an entry, from those above it (SDM 4.6). The PDPTE registers of PAE paging take none away. */
export function rightsBelow(
  state: PagingState,
  level: number,
  rights: number,
  entryLow: number,
  entryHigh: number,
): number {
  if (state.levels === 3 && level === 3) return rights;
  const executeDisable = entryHigh < 0 && state.nxe && state.levels !== 2;
  return (rights & (entryLow | ~ALL_RIGHTS)) | (executeDisable ? RIGHT_XD : 0);
}

/** Takes over what the leaf says of the page. */
function takeLeaf(state: PagingState, walk: Walk, level: number, entryLow: number, entryHigh: number): void {
  walk.pageShift = levelShift(state.levels, level);
  walk.frame = pageAddress(state, level, entryLow, entryHigh);
  walk.dirty = (entryLow & ENTRY_D) !== 0;
  walk.global = (entryLow & ENTRY_G) !== 0;
  walk.key = state.levels >= 4 ? (entryHigh >>> 27) & 15 : 0;
  walk.patIndex = patIndexOf(entryLow, level > 1);
}

/** PAT, PCD, PWT of a leaf as an index 0..7 into IA32_PAT (SDM 4.9.2). PAT is bit 12 of a large page, bit 7 of a PTE. */
export function patIndexOf(entryLow: number, large: boolean): number {
  const pat = large ? (entryLow >>> 12) & 1 : (entryLow >>> 7) & 1;
  return (pat << 2) | ((entryLow >>> 3) & 3);
}

/** The physical address of the page that a leaf maps. Bits 13..20 of a 4 MiB PDE hold address bits 32..39 (PSE-36). */
export function pageAddress(state: EntryState, level: number, entryLow: number, entryHigh: number): number {
  const low = entryLow & (-1 << levelShift(state.levels, level));
  if (state.levels !== 2) return addressFrom(low, entryHigh & 0xfffff);
  return addressFrom(low, level === 2 ? (entryLow >>> 13) & 0xff : 0);
}

/** The physical address of the table that an entry refers to. */
export function tableAddress(state: EntryState, entryLow: number, entryHigh: number): number {
  return addressFrom(entryLow & ~0xfff, state.levels === 2 ? 0 : entryHigh & 0xfffff);
}

function addressFrom(low: number, high: number): number {
  return high * 0x100000000 + (low >>> 0);
}

/**
 * Whether accumulated rights and a protection key allow an access (SDM 4.6.1, 4.6.2). Keys are looked at first, since
 * the error code tells of them whatever else forbids the access.
 * @param access ACCESS_* bits
 */
export function checkRights(state: PagingState, rights: number, key: number, access: number): FaultCause {
  const userPage = (rights & RIGHT_USER) !== 0;
  const userAccess = (access & ACCESS_USER) !== 0;
  if (userAccess && !userPage) return FAULT_SUPERVISOR_ONLY;
  if ((access & ACCESS_FETCH) !== 0) {
    if (!userAccess && userPage && state.smep) return FAULT_SMEP;
    return (rights & RIGHT_XD) !== 0 ? FAULT_EXECUTE_DISABLE : FAULT_NONE;
  }
  if (state.pke || state.pks) {
    const cause = checkKey(state, userPage, key, access);
    if (cause !== FAULT_NONE) return cause;
  }
  if (!userAccess && userPage && state.smap) {
    const exempt = (access & (ACCESS_IMPLICIT | ACCESS_AC)) === ACCESS_AC;
    if (!exempt) return FAULT_SMAP;
  }
  const protects = (access & ACCESS_WRITE) !== 0 && (rights & RIGHT_WRITE) === 0 && (userAccess || state.wp);
  return protects ? FAULT_WRITE_PROTECT : FAULT_NONE;
}

/** Protection keys: PKRU for user-mode addresses, IA32_PKRS for supervisor-mode ones; data accesses only. */
function checkKey(state: PagingState, userPage: boolean, key: number, access: number): FaultCause {
  if (state.levels < 4 || !(userPage ? state.pke : state.pks)) return FAULT_NONE;
  const bits = (userPage ? state.pkru : state.pkrs) >>> (2 * key);
  if ((bits & 1) !== 0) return userPage ? FAULT_KEY_ACCESS : FAULT_PKRS_ACCESS;
  const writes = (access & ACCESS_WRITE) !== 0 && ((access & ACCESS_USER) !== 0 || state.wp);
  if ((bits & 2) === 0 || !writes) return FAULT_NONE;
  return userPage ? FAULT_KEY_WRITE : FAULT_PKRS_WRITE;
}

/** The error code of a page fault (SDM 4.7). */
export function errorCodeOf(state: PagingState, cause: FaultCause, access: number): number {
  let code = access & (ACCESS_WRITE | ACCESS_USER);
  if (cause !== FAULT_NOT_PRESENT) code |= ERROR_P;
  if (cause === FAULT_RESERVED) code |= ERROR_RSVD;
  if (cause >= FAULT_KEY_ACCESS) code |= ERROR_PK;
  const tellsFetch = state.smep || (state.nxe && state.levels >= 3);
  if ((access & ACCESS_FETCH) !== 0 && tellsFetch) code |= ACCESS_FETCH;
  return code;
}

/** Memory in which the CPU updates entries. */
export interface UpdatableTables extends TableMemory {
  /** A locked OR of a 32-bit value. */
  orEntry(address: number, bits: number): void;
}

/**
 * Sets A in every entry that a successful walk used, and D in the leaf on a write (SDM 4.8), where they are not set
 * yet. A walk that faulted must not come here. PAE PDPTEs have no A flag.
 */
export function setAccessedDirty(
  state: PagingState,
  memory: UpdatableTables,
  walk: Walk,
  write: boolean,
): void {
  const last = walk.stepCount - 1;
  for (let step = 0; step <= last; step++) {
    if (state.levels === 3 && walk.levels[step] === 3) continue;
    const bits = ENTRY_A | (write && step === last ? ENTRY_D : 0);
    if ((walk.entryLow[step] & bits) === bits) continue;
    memory.orEntry(walk.entryAddresses[step], bits);
    walk.entryLow[step] |= bits;
  }
}
