/** Writes to control registers and EFER: what they check, what they flush (SDM vol. 3A, 2.5, 4.1.2, 4.10.4.1). */
import { join64 } from "../../paging/halves";
import { MODE_NAMES } from "../../paging/ranges";
import { pdpteReserved } from "../../paging/walk";
import { SEG_L, SEG_P, SEG_S, TR } from "./attributes";
import type { Cpu } from "./cpu";
import { Unimplemented } from "./fault";
import {
  CR0_CD,
  CR0_ET,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_DE,
  CR4_FSGSBASE,
  CR4_LA57,
  CR4_MCE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  CR4_TSD,
  CR4_UMIP,
  CS,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  EFER_SVME,
} from "./registers";
import { hex } from "./segments";

/** Bits of CR0 that exist: PE MP EM TS ET NE WP AM NW CD PG. */
const CR0_BITS = 0xe005003f;

export function writeCr0(c: Cpu, value: bigint): void {
  if (value >> 32n !== 0n) throw c.gp("CR0: a bit of the upper half is set");
  const cr0 = ((Number(BigInt.asIntN(32, value)) & CR0_BITS) | CR0_ET) >>> 0;
  if ((cr0 & CR0_PG) !== 0 && (cr0 & CR0_PE) === 0) throw c.gp("CR0.PG is set without CR0.PE");
  if ((cr0 & CR0_NW) !== 0 && (cr0 & CR0_CD) === 0) throw c.gp("CR0.NW is set without CR0.CD");
  const changed = cr0 ^ c.cr0;
  const before = pagingBits(c);
  let efer = c.efer;
  if ((changed & CR0_PG) !== 0) {
    if ((cr0 & CR0_PG) !== 0) efer = enablePaging(c);
    else efer = disablePaging(c);
  }
  const pae = (cr0 & CR0_PG) !== 0 && (c.cr4 & CR4_PAE) !== 0 && (efer & EFER_LMA) === 0;
  if (pae && (changed & (CR0_PG | CR0_CD | CR0_NW)) !== 0) loadPdptes(c, Number(c.cr3 & 0xffffffe0n));
  c.cr0 = cr0;
  c.efer = efer;
  c.updatePaging();
  c.updateMode();
  if ((changed & CR0_PG) !== 0) flushAll(c, "mov-cr0");
  announceMode(c, before);
  if ((changed & cr0 & CR0_PG) !== 0) rootFound(c);
}

/** EFER once CR0.PG goes to 1 (SDM 9.8.5). */
function enablePaging(c: Cpu): number {
  if ((c.efer & EFER_LME) === 0) {
    if ((c.cr4 & CR4_PCIDE) !== 0) throw c.gp("CR0.PG: CR4.PCIDE is set outside of IA-32e mode");
    return c.efer;
  }
  if ((c.cr4 & CR4_PAE) === 0) throw c.gp("CR0.PG: EFER.LME is set without CR4.PAE");
  if ((c.attributes[CS] & SEG_L) !== 0) throw c.gp("CR0.PG: CS.L is set while IA-32e mode is entered");
  // Types 1 and 3 are 16-bit TSSs, 9 and 11 those of 32 bits.
  if ((c.attributes[TR] & (SEG_P | SEG_S | 0xd)) === (SEG_P | 1))
    throw c.gp("CR0.PG: TR names a 16-bit TSS while IA-32e mode is entered");
  return c.efer | EFER_LMA;
}

/** EFER once CR0.PG goes to 0. */
function disablePaging(c: Cpu): number {
  if (c.code64) throw c.gp("CR0.PG: cleared in 64-bit mode");
  if ((c.cr4 & CR4_PCIDE) !== 0) throw c.gp("CR0.PG: cleared with CR4.PCIDE set");
  return c.efer & ~EFER_LMA;
}

export function writeCr3(c: Cpu, value: bigint): void {
  const keep = (c.cr4 & CR4_PCIDE) !== 0 && value >> 63n !== 0n;
  const cr3 = (c.cr4 & CR4_PCIDE) !== 0 ? BigInt.asUintN(63, value) : value;
  if (c.longMode && cr3 >> BigInt(c.model.maxPhysicalBits) !== 0n) {
    throw c.gp(`CR3: a bit above MAXPHYADDR (${c.model.maxPhysicalBits}) is set in 0x${value.toString(16)}`);
  }
  const paging = c.paging.levels !== 0;
  const from = paging ? c.paging.root : c.rootOf(c.cr3);
  const to = c.rootOf(c.longMode ? cr3 : cr3 & 0xffffffffn);
  if (c.paging.levels === 3) loadPdptes(c, to);
  c.cr3 = c.longMode ? cr3 : cr3 & 0xffffffffn;
  c.updatePaging();
  if (!keep) {
    c.mmu.flushPcid(c.mmu.pcid);
    if (c.wants("tlb-flush")) c.emit({ event: "tlb-flush", ...c.here(), cause: "mov-cr3", global: false });
  }
  c.leave = true;
  c.surroundings.rootLoaded(from, to, value, paging);
}

/** Paging is on, or in another mode, with CR3 as it was. */
function rootFound(c: Cpu): void {
  const { root } = c.paging;
  c.surroundings.rootLoaded(root, root, undefined, false);
}

/**
 * The PDPTE registers of PAE paging, loaded and checked with the move, not with a walk (SDM 4.4.1).
 * @throws #GP where an entry has a reserved bit set
 */
export function loadPdptes(c: Cpu, table: number): void {
  const entries = new Int32Array(8);
  for (let i = 0; i < 8; i++) entries[i] = c.memory.read32(table + 4 * i);
  for (let i = 0; i < 4; i++) {
    const [low, high] = [entries[2 * i], entries[2 * i + 1]];
    if ((low & 1) !== 0 && pdpteReserved(low, high, c.model.maxPhysicalBits)) {
      const value = join64(low, high).toString(16);
      throw c.gp(`PDPTE ${i} at ${hex(table + 8 * i)} has a reserved bit set (0x${value})`);
    }
  }
  c.paging.pdpte.set(entries);
}

/** The bits of CR4 that a CPU model has. */
export function cr4Bits(c: Cpu): number {
  const { features } = c.model;
  return (
    CR4_PCE |
    (features.tsc ? CR4_TSD : 0) |
    (features.mce ? CR4_MCE : 0) |
    (features.de ? CR4_DE : 0) |
    (features.pse ? CR4_PSE : 0) |
    (features.pae ? CR4_PAE : 0) |
    (features.pge ? CR4_PGE : 0) |
    (features.fxsr ? CR4_OSFXSR : 0) |
    (features.sse ? CR4_OSXMMEXCPT : 0) |
    (features.umip ? CR4_UMIP : 0) |
    (features.la57 ? CR4_LA57 : 0) |
    (features.fsgsbase ? CR4_FSGSBASE : 0) |
    (features.pcid ? CR4_PCIDE : 0) |
    (features.xsave ? CR4_OSXSAVE : 0) |
    (features.smep ? CR4_SMEP : 0) |
    (features.smap ? CR4_SMAP : 0) |
    (features.pku ? CR4_PKE : 0) |
    (features.pks ? CR4_PKS : 0) |
    3
  );
}

export function writeCr4(c: Cpu, value: bigint): void {
  const cr4 = Number(BigInt.asIntN(32, value));
  const foreign = cr4 & ~cr4Bits(c);
  if (value >> 32n !== 0n || foreign !== 0) {
    throw c.gp(`CR4: bit ${31 - Math.clz32(foreign)} of 0x${value.toString(16)} does not exist on this CPU`);
  }
  const changed = cr4 ^ c.cr4;
  if (c.longMode && (changed & CR4_PAE) !== 0) throw c.gp("CR4.PAE: cleared in IA-32e mode");
  if (c.longMode && (changed & CR4_LA57) !== 0) throw c.gp("CR4.LA57: changed in IA-32e mode");
  if ((changed & cr4 & CR4_PCIDE) !== 0) {
    if (!c.longMode) throw c.gp("CR4.PCIDE: set outside of IA-32e mode");
    if ((c.cr3 & 0xfffn) !== 0n) throw c.gp("CR4.PCIDE: set while CR3 bits 11:0 are not 0");
  }
  const before = pagingBits(c);
  const paging = (c.cr0 & CR0_PG) !== 0;
  const pae = paging && (cr4 & CR4_PAE) !== 0 && !c.longMode;
  if (pae && (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) !== 0)
    loadPdptes(c, Number(c.cr3 & 0xffffffe0n));
  c.cr4 = cr4;
  c.updatePaging();
  const flushing = CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP;
  const off = changed & ~cr4;
  if (
    (changed & flushing & ~(CR4_SMEP | CR4_PCIDE)) !== 0 ||
    (changed & cr4 & CR4_SMEP) !== 0 ||
    (off & CR4_PCIDE) !== 0
  ) {
    flushAll(c, "mov-cr4");
  }
  announceMode(c, before);
  // The same page, read in another format.
  if (paging && !c.longMode && (changed & CR4_PAE) !== 0) rootFound(c);
}

export function writeEfer(c: Cpu, value: bigint): void {
  const { features } = c.model;
  const efer = Number(BigInt.asIntN(32, value));
  const known =
    (features.syscall ? EFER_SCE : 0) |
    (features.lm ? EFER_LME | EFER_LMA : 0) |
    (features.nx ? EFER_NXE : 0);
  const foreign = efer & ~known;
  if (foreign === EFER_SVME && features.svm && value >> 32n === 0n)
    throw new Unimplemented("this machine does not implement SVM, which EFER.SVME turns on");
  if (value >> 32n !== 0n || foreign !== 0) {
    throw c.gp(`EFER: a bit of 0x${value.toString(16)} does not exist on this CPU`);
  }
  if (((efer ^ c.efer) & EFER_LME) !== 0 && (c.cr0 & CR0_PG) !== 0)
    throw c.gp("EFER.LME: changed while CR0.PG is set");
  c.efer = (efer & ~EFER_LMA) | (c.efer & EFER_LMA);
  c.updatePaging();
}

function flushAll(c: Cpu, cause: string): void {
  c.mmu.flushAll();
  c.leave = true;
  if (c.wants("tlb-flush")) c.emit({ event: "tlb-flush", ...c.here(), cause, global: true });
}

/** The bits that a `paging-mode` event tells of, by name. */
function pagingBits(c: Cpu): Map<string, boolean> {
  return new Map([
    ["PG", (c.cr0 & CR0_PG) !== 0],
    ["WP", (c.cr0 & CR0_WP) !== 0],
    ["PAE", (c.cr4 & CR4_PAE) !== 0],
    ["PSE", (c.cr4 & CR4_PSE) !== 0],
    ["PGE", (c.cr4 & CR4_PGE) !== 0],
    ["LA57", (c.cr4 & CR4_LA57) !== 0],
  ]);
}

function announceMode(c: Cpu, before: Map<string, boolean>): void {
  c.leave = true;
  const after = pagingBits(c);
  const set = [...after.keys()].filter((name) => after.get(name) && !before.get(name));
  const cleared = [...after.keys()].filter((name) => !after.get(name) && before.get(name));
  if (set.length + cleared.length === 0) return;
  c.emit({ event: "paging-mode", ...c.here(), set, cleared, mode: MODE_NAMES[c.paging.levels] });
}
