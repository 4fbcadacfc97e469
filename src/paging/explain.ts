/** Walks and faults in words: one sentence for a fault, a list of steps for a walk. */
import { canonicalAddress } from "./canonical";
import { type DecodedEntry, decodeEntry } from "./entry";
import { join64 } from "./halves";
import { ENTRY_NAMES, entrySize, levelShift } from "./layout";
import {
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingState,
  type TableMemory,
} from "./state";
import {
  entryIndex,
  FAULT_EXECUTE_DISABLE,
  FAULT_KEY_ACCESS,
  FAULT_KEY_WRITE,
  FAULT_NONE,
  FAULT_NOT_PRESENT,
  FAULT_PKRS_ACCESS,
  FAULT_PKRS_WRITE,
  FAULT_RESERVED,
  FAULT_SMAP,
  FAULT_SMEP,
  FAULT_SUPERVISOR_ONLY,
  FAULT_WRITE_PROTECT,
  type FaultCause,
  RIGHT_USER,
  RIGHT_WRITE,
  RIGHT_XD,
  rightsBelow,
  Walk,
  walkLinear,
} from "./walk";

/** Names what lies at a physical address, e.g. a table by its symbol. */
export type PhysicalNames = (physical: number) => string | undefined;

/** One step of an explained walk. */
export interface WalkStep {
  readonly level: number;
  /** PML5E, PML4E, PDPTE, PDE, PTE. */
  readonly name: string;
  readonly index: number;
  /** Physical addresses of the table and of the entry. */
  readonly table: number;
  readonly entry: number;
  readonly value: bigint;
  readonly decoded: DecodedEntry;
  /** Rights accumulated down to here. */
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  /** The linear addresses that the entry covers, canonical; end exclusive, with 2^64 given as 0. */
  readonly start: bigint;
  readonly end: bigint;
}

/** A walk with all that it met. */
export interface ExplainedWalk {
  readonly address: bigint;
  readonly steps: WalkStep[];
  readonly fault: FaultCause;
  /** The physical address, where the walk reached a page. */
  readonly physical?: number;
  readonly pageShift?: number;
  /** One sentence. */
  readonly outcome: string;
}

/** "write to", "read from" or "instruction fetch from", with the privilege where it is not plain. */
export function accessName(access: number): string {
  const verb =
    (access & ACCESS_FETCH) !== 0
      ? "instruction fetch from"
      : (access & ACCESS_WRITE) !== 0
        ? "write to"
        : "read from";
  if ((access & ACCESS_USER) !== 0) return `user ${verb}`;
  return (access & ACCESS_IMPLICIT) !== 0 ? `implicit ${verb}` : verb;
}

/** 0x and 16 hexadecimal digits. */
export function hex16(value: number | bigint): string {
  return `0x${value.toString(16).padStart(16, "0")}`;
}

function entryValue(walk: Walk, step: number): bigint {
  return join64(walk.entryLow[step], walk.entryHigh[step]);
}

/**
 * Why a walk faulted, in one sentence.
 * @param walk a walk of this address and access that ended in a fault
 */
export function explainFault(
  state: PagingState,
  walk: Walk,
  low: number,
  high: number,
  access: number,
  names: PhysicalNames = () => undefined,
): string {
  const address =
    state.levels >= 4 ? hex16(join64(low, high)) : `0x${(low >>> 0).toString(16).padStart(8, "0")}`;
  return `${accessName(access)} ${address}: ${faultText(state, walk, low, high, access, names)}`;
}

function faultText(
  state: PagingState,
  walk: Walk,
  low: number,
  high: number,
  access: number,
  names: PhysicalNames,
): string {
  const { fault } = walk;
  const last = walk.stepCount - 1;
  const at = (step: number) => entryText(state, walk, step, low, high, names);
  switch (fault) {
    case FAULT_NOT_PRESENT:
      return `${at(last)} is not present`;
    case FAULT_RESERVED:
      return `${at(last)} has ${reservedText(state, walk, last)}`;
    case FAULT_WRITE_PROTECT:
      return `${at(stepWithout(state, walk, RIGHT_WRITE))} is read-only (R/W = 0)${
        (access & ACCESS_USER) === 0 ? " and CR0.WP = 1" : ""
      }`;
    case FAULT_SUPERVISOR_ONLY:
      return `${at(stepWithout(state, walk, RIGHT_USER))} is for supervisor mode only (U/S = 0)`;
    case FAULT_EXECUTE_DISABLE:
      return `${at(stepWithExecuteDisable(walk))} forbids execution (XD = 1)`;
    case FAULT_SMEP:
      return `${at(last)} maps a user page, which supervisor mode may not execute (CR4.SMEP = 1)`;
    case FAULT_SMAP:
      return `${at(last)} maps a user page, which supervisor mode may not access (CR4.SMAP = 1${
        (access & ACCESS_IMPLICIT) === 0 ? ", EFLAGS.AC = 0" : ""
      })`;
    case FAULT_KEY_ACCESS:
    case FAULT_KEY_WRITE:
      return `${at(last)} has protection key ${walk.key}, for which PKRU sets ${fault === FAULT_KEY_ACCESS ? "AD" : "WD"}`;
    case FAULT_PKRS_ACCESS:
    case FAULT_PKRS_WRITE:
      return `${at(last)} has protection key ${walk.key}, for which IA32_PKRS sets ${fault === FAULT_PKRS_ACCESS ? "AD" : "WD"}`;
    default:
      return "nothing forbids it";
  }
}

/** "PML4E 272 of early_level4_pgt (0x0000000001c02880)". Of a PAE PDPTE the register counts, not what memory holds. */
function entryText(
  state: PagingState,
  walk: Walk,
  step: number,
  low: number,
  high: number,
  names: PhysicalNames,
): string {
  const entry = walk.entryAddresses[step];
  const index = entryIndex(state, walk.levels[step], low, high);
  const table = entry - index * entrySize(state.levels);
  const level = walk.levels[step];
  const what = isRegister(state, level) ? "PDPTE register" : ENTRY_NAMES[level];
  return `${what} ${index} of ${names(table) ?? `table ${hex16(table)}`} (${hex16(entry)})`;
}

function reservedText(state: PagingState, walk: Walk, step: number): string {
  const { reserved } = decodeEntry(entryValue(walk, step), walk.levels[step], state);
  return reserved.map(({ bit, reason }) => `reserved bit ${bit} set (${reason})`).join(" and ");
}

/** Whether the entry of a level is one of the PDPTE registers of PAE paging (SDM 4.4.1). */
function isRegister(state: PagingState, level: number): boolean {
  return state.levels === 3 && level === 3;
}

/** The highest entry that takes a right away. */
function stepWithout(state: PagingState, walk: Walk, right: number): number {
  for (let step = 0; step < walk.stepCount; step++) {
    if (!isRegister(state, walk.levels[step]) && (walk.entryLow[step] & right) === 0) return step;
  }
  return walk.stepCount - 1;
}

function stepWithExecuteDisable(walk: Walk): number {
  for (let step = 0; step < walk.stepCount; step++) if (walk.entryHigh[step] < 0) return step;
  return walk.stepCount - 1;
}

/** Walks an address, observing only, and explains each step. */
export function explainWalk(
  state: PagingState,
  memory: TableMemory,
  address: bigint,
  access: number,
  names: PhysicalNames = () => undefined,
): ExplainedWalk {
  const low = Number(BigInt.asIntN(32, address));
  const high = Number(BigInt.asIntN(32, address >> 32n));
  const walk = new Walk();
  const fault = walkLinear(state, memory, low, high, access, walk);
  const steps: WalkStep[] = [];
  let rights = RIGHT_WRITE | RIGHT_USER;
  for (let step = 0; step < walk.stepCount; step++) {
    const level = walk.levels[step];
    rights = rightsBelow(state, level, rights, walk.entryLow[step], walk.entryHigh[step]);
    steps.push(stepOf(state, walk, step, low, high, address, rights));
  }
  const arrived = fault !== FAULT_NOT_PRESENT && fault !== FAULT_RESERVED;
  const physical = walk.frame + (Number(BigInt.asUintN(32, address)) % 2 ** walk.pageShift);
  const base = { address, steps, fault };
  if (fault !== FAULT_NONE) {
    const outcome = explainFault(state, walk, low, high, access, names);
    return arrived ? { ...base, physical, pageShift: walk.pageShift, outcome } : { ...base, outcome };
  }
  const outcome = `${accessName(access)} ${hex16(address)}: physical ${hex16(physical)}`;
  return { ...base, physical, pageShift: walk.pageShift, outcome };
}

function stepOf(
  state: PagingState,
  walk: Walk,
  step: number,
  low: number,
  high: number,
  address: bigint,
  rights: number,
): WalkStep {
  const level = walk.levels[step];
  const index = entryIndex(state, level, low, high);
  const entry = walk.entryAddresses[step];
  const value = entryValue(walk, step);
  const span = 1n << BigInt(levelShift(state.levels, level));
  const start = address & ~(span - 1n);
  return {
    level,
    name: ENTRY_NAMES[level],
    index,
    table: entry - index * entrySize(state.levels),
    entry,
    value,
    decoded: decodeEntry(value, level, state),
    writable: (rights & RIGHT_WRITE) !== 0,
    user: (rights & RIGHT_USER) !== 0,
    executable: (rights & RIGHT_XD) === 0,
    start: canonicalAddress(start, state.levels),
    end: BigInt.asUintN(64, canonicalAddress(start, state.levels) + span),
  };
}
