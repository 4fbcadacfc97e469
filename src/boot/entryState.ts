/** The modes that loaders leave a CPU in (SDM vol. 3A, 2.2): flat segments, interrupts off, all general registers 0. */
import type { StartState } from "../machine/startState";
import { BOOT_CS, BOOT_DS, flatSegments } from "./descriptors";

/** ET PE. */
const CR0_PROTECTED_MODE = 0x11;
/** PG NE ET PE. */
const CR0_LONG_MODE = 0x80000031;
const CR4_PAE = 0x20;
/** LMA LME. */
const EFER_LONG_MODE = 0x500;

/** 32-bit protected mode with paging off. @param entry physical, below 4 GiB */
export function protectedModeState(entry: number, code = BOOT_CS, data = BOOT_DS): StartState {
  return {
    rip: BigInt(entry),
    cr0: CR0_PROTECTED_MODE,
    cr3: 0n,
    cr4: 0,
    efer: 0,
    segments: flatSegments(32, code, data),
  };
}

/** 64-bit mode. @param cr3 physical address of 4-level tables that map the entry to itself */
export function longModeState(entry: number, cr3: number, gdtr: { base: bigint; limit: number }): StartState {
  return {
    rip: BigInt(entry),
    cr0: CR0_LONG_MODE,
    cr3: BigInt(cr3),
    cr4: CR4_PAE,
    efer: EFER_LONG_MODE,
    segments: flatSegments(64, BOOT_CS, BOOT_DS),
    gdtr,
  };
}
