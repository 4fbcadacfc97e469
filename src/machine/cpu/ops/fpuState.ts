/**
 * FNINIT FLDCW FNSTCW FNSTSW FNCLEX FXSAVE FXRSTOR LDMXCSR STMXCSR EMMS FILD (SDM vol. 2): the state of x87 and SSE, as
 * far as kernels initialise and switch it; with FILD they overwrite what another task has left. Arithmetic is not implemented, so that no exception ever pends.
 */
import { Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu";
import { NM, NO_ERROR, Unimplemented } from "../fault";
import { FPU_IMAGE, FPU_IMAGE_32, FPU_MXCSR, FPU_REGISTERS, FPU_TAGS, FPU_XMM, MXCSR_BITS } from "../fpu";
import { advance, linearAddress, type Op, operandSize, reader, type Site, writer } from "../operands";
import { CR0_EM, CR0_TS, CR4_OSFXSR, R_EA_HIGH } from "../registers";
import { family, withFeature } from "./family";

/** x87 instructions: #NM where the kernel has said that they are emulated, or that another task's state is there. */
function requireX87(c: Cpu): void {
  if ((c.cr0 & (CR0_EM | CR0_TS)) !== 0)
    throw c.raise(NM, NO_ERROR, "an x87 instruction with CR0.EM or CR0.TS set");
}

function requireSse(c: Cpu): void {
  if ((c.cr0 & CR0_EM) !== 0) throw c.ud("an SSE instruction with CR0.EM set");
  if ((c.cr4 & CR4_OSFXSR) === 0) throw c.ud("an SSE instruction without CR4.OSFXSR");
  if ((c.cr0 & CR0_TS) !== 0) throw c.raise(NM, NO_ERROR, "an SSE instruction with CR0.TS set");
}

function x87(action: (c: Cpu) => void): () => Op {
  return () => (c) => {
    requireX87(c);
    action(c);
  };
}

function loadControl(site: Site): Op {
  const read = reader(site, 0, 2);
  return (c) => {
    requireX87(c);
    c.fpu.control = read(c) & 0xffff;
  };
}

function storeWord(value: (c: Cpu) => number): (site: Site) => Op {
  return (site) => {
    const write = writer(site, 0, 2);
    return (c) => {
      requireX87(c);
      write(c, value(c));
    };
  };
}

function loadMxcsr(site: Site): Op {
  const read = reader(site, 0, 4);
  return (c) => {
    requireSse(c);
    const value = read(c);
    if ((value & ~MXCSR_BITS) !== 0) throw c.gp("LDMXCSR: a reserved bit of MXCSR is set");
    c.fpu.mxcsr = value;
  };
}

function storeMxcsr(site: Site): Op {
  const write = writer(site, 0, 4);
  return (c) => {
    requireSse(c);
    write(c, c.fpu.mxcsr);
  };
}

/** Checks what FXSAVE and FXRSTOR need. @returns the low half of the address, its high half in R_EA_HIGH */
function imageAddress(c: Cpu, address: (c: Cpu) => number): number {
  requireX87(c);
  const low = address(c);
  if ((low & 15) !== 0) throw c.gp("FXSAVE or FXRSTOR at an address that is no multiple of 16");
  return low;
}

/** The end of what is transferred: without CR4.OSFXSR no XMM registers, outside of 64-bit mode eight of them. */
function imageEnd(c: Cpu, site: Site): number {
  if ((c.cr4 & CR4_OSFXSR) === 0) return FPU_XMM;
  return site.bitness === 64 ? FPU_IMAGE : FPU_IMAGE_32;
}

function save(site: Site): Op {
  const address = linearAddress(site, true);
  return (c) => {
    const low = imageAddress(c, address);
    const high = c.r[R_EA_HIGH];
    const end = imageEnd(c, site);
    c.mmu.probeWrite(low, high, end);
    const view = new DataView(c.fpu.image.buffer);
    for (let offset = 0; offset < end; offset += 4) {
      c.r[R_EA_HIGH] = high;
      const at = advance(c.r, low, offset);
      c.mmu.store32(at, c.r[R_EA_HIGH], view.getInt32(offset, true));
    }
  };
}

/** All is read before anything changes: a fault, or a wrong MXCSR, leaves the state as it was. */
function restore(site: Site): Op {
  const address = linearAddress(site);
  const loaded = new DataView(new ArrayBuffer(FPU_IMAGE));
  return (c) => {
    const low = imageAddress(c, address);
    const high = c.r[R_EA_HIGH];
    const end = imageEnd(c, site);
    for (let offset = 0; offset < end; offset += 4) {
      c.r[R_EA_HIGH] = high;
      const at = advance(c.r, low, offset);
      loaded.setInt32(offset, c.mmu.load32(at, c.r[R_EA_HIGH]), true);
    }
    const mxcsr = loaded.getUint32(FPU_MXCSR, true);
    if ((mxcsr & ~MXCSR_BITS) !== 0) throw c.gp("FXRSTOR: a reserved bit of MXCSR is set");
    const { image } = c.fpu;
    const bytes = new Uint8Array(loaded.buffer);
    // The mask, and the upper bytes of the 80-bit registers, are not state.
    image.set(bytes.subarray(0, FPU_MXCSR));
    image[FPU_TAGS + 1] = 0;
    c.fpu.control = loaded.getUint16(0, true);
    if ((c.cr4 & CR4_OSFXSR) !== 0) c.fpu.mxcsr = mxcsr;
    for (let st = 0; st < 8; st++) {
      const at = FPU_REGISTERS + 16 * st;
      image.set(bytes.subarray(at, at + 10), at);
    }
    image.set(bytes.subarray(FPU_XMM, end), FPU_XMM);
  };
}

function emptyMmx(): Op {
  return (c) => {
    if ((c.cr0 & CR0_EM) !== 0) throw c.ud("EMMS with CR0.EM set");
    requireX87(c);
    c.fpu.empty();
  };
}

/** FILD. */
function loadInteger(site: Site): Op {
  const size = operandSize(site.instruction, 0);
  const read = size === 8 ? undefined : reader(site, 0, size);
  const address = linearAddress(site);
  return (c) => {
    requireX87(c);
    const value =
      read === undefined
        ? BigInt.asIntN(64, c.returned64(c.mmu.load64(address(c), c.r[R_EA_HIGH])))
        : BigInt(read(c));
    if (!c.fpu.pushInteger(value))
      throw new Unimplemented("FILD onto a full x87 stack: this machine has no x87 exceptions");
  };
}

export const FPU_STATE = new Map(
  family(
    [
      Mnemonic.Fninit,
      withFeature(
        "fpu",
        x87((c) => c.fpu.initialise()),
      ),
    ],
    [
      Mnemonic.Fnclex,
      withFeature(
        "fpu",
        x87((c) => c.fpu.clearExceptions()),
      ),
    ],
    [Mnemonic.Fldcw, withFeature("fpu", loadControl)],
    [
      Mnemonic.Fnstcw,
      withFeature(
        "fpu",
        storeWord((c) => c.fpu.control),
      ),
    ],
    [
      Mnemonic.Fnstsw,
      withFeature(
        "fpu",
        storeWord((c) => c.fpu.status),
      ),
    ],
    [Mnemonic.Emms, withFeature("mmx", emptyMmx)],
    [Mnemonic.Fild, withFeature("fpu", loadInteger)],
    [Mnemonic.Fxsave, withFeature("fxsr", save)],
    [Mnemonic.Fxsave64, withFeature("fxsr", save)],
    [Mnemonic.Fxrstor, withFeature("fxsr", restore)],
    [Mnemonic.Fxrstor64, withFeature("fxsr", restore)],
    [Mnemonic.Ldmxcsr, withFeature("sse", loadMxcsr)],
    [Mnemonic.Stmxcsr, withFeature("sse", storeMxcsr)],
  ),
);
