/** Descriptor tables, task register, CPUID, MSRs, TLB and cache control, HLT, keys (SDM vol. 2). */
import { Mnemonic } from "iced-x86";
import { join64 } from "../../../paging/halves";
import { LDTR, SEG_CODE, SEG_CONFORMING, SEG_S, SEG_WRITABLE, TR } from "../attributes";
import { writeCr0 } from "../control";
import type { Cpu } from "../cpu";
import { cpuid } from "../cpuid";
import { CpuFault, Halted } from "../fault";
import { setFlags } from "../flags";
import { isDeaf, recheck } from "../interrupt";
import { APIC_BASE_ENABLE, MSR_KERNEL_GS_BASE, readMsr, readMsrValue, timeStamp, writeMsr } from "../msr";
import {
  advance,
  isMemory,
  isRegister,
  linearAddress,
  type Op,
  operandSize,
  reader,
  registerNumber,
  type Site,
  type Size,
  writer,
  writer64,
} from "../operands";
import { MSR_APIC_BASE, MSR_TSC_AUX } from "../plainMsrs";
import {
  CR0_TS,
  CR4_FSGSBASE,
  CR4_OSXSAVE,
  CR4_PCIDE,
  CR4_PKE,
  CR4_TSD,
  CR4_UMIP,
  FS,
  GS,
  IF,
  R_EA_HIGH,
  R_FLAGS,
  R_HIGH,
  R_SEGMENT_BASE,
  RAX,
  RBX,
  RCX,
  RDX,
  ZF,
} from "../registers";
import { attributesOf, dplOf, limitOf, loadLdt, loadTaskRegister, readDescriptor } from "../segments";
import { endingFamily, family, sizeOf, undefinedOpcode, withFeature } from "./family";

function requireSupervisor(c: Cpu, what: string): void {
  if (c.cpl !== 0) throw c.gp(`${what} at CPL ${c.cpl}`);
}

function requireNoUmip(c: Cpu, what: string): void {
  if (c.cpl !== 0 && (c.cr4 & CR4_UMIP) !== 0) throw c.gp(`${what} at CPL ${c.cpl} with CR4.UMIP set`);
}

// --- descriptor-table registers ---

type TableRegister = "gdt" | "idt";

/** LGDT and LIDT: limit, then base; 24 bits of base with a 16-bit operand. */
function loadTable(table: TableRegister): (site: Site) => Op {
  return (site) => {
    const address = linearAddress(site);
    const code = site.instruction.opCode;
    const narrow = code.operandSize === 16;
    code.free();
    return (c) => {
      requireSupervisor(c, `L${table.toUpperCase()}`);
      const { r } = c;
      const at = address(c);
      const limit = c.mmu.load16(at, r[R_EA_HIGH]) & 0xffff;
      const baseAt = advance(r, at, 2);
      const base = readBase(c, baseAt, site.bitness === 64, narrow);
      if (site.bitness === 64 && !c.isCanonicalAddress(base))
        throw c.gp(`L${table.toUpperCase()}: the base is not canonical`);
      if (table === "gdt") {
        c.gdtBase = base;
        c.gdtLimit = limit;
      } else {
        c.idtBase = base;
        c.idtLimit = limit;
      }
    };
  };
}

function readBase(c: Cpu, at: number, wide: boolean, narrow: boolean): bigint {
  const high = c.r[R_EA_HIGH];
  if (wide) return c.returned64(c.mmu.load64(at, high));
  const base = c.mmu.load32(at, high);
  return BigInt((narrow ? base & 0xffffff : base) >>> 0);
}

/** SGDT and SIDT. */
function storeTable(table: TableRegister): (site: Site) => Op {
  return (site) => {
    const address = linearAddress(site, true);
    return (c) => {
      requireNoUmip(c, `S${table.toUpperCase()}`);
      const { r, mmu } = c;
      const base = table === "gdt" ? c.gdtBase : c.idtBase;
      const at = address(c);
      const atHigh = r[R_EA_HIGH];
      mmu.probeWrite(at, atHigh, site.bitness === 64 ? 10 : 6);
      mmu.store16(at, atHigh, table === "gdt" ? c.gdtLimit : c.idtLimit);
      const baseAt = advance(r, at, 2);
      const [low, high] = [Number(BigInt.asIntN(32, base)), Number(BigInt.asIntN(32, base >> 32n))];
      if (site.bitness === 64) mmu.store64(baseAt, r[R_EA_HIGH], low, high);
      else mmu.store32(baseAt, r[R_EA_HIGH], low);
    };
  };
}

function loadSelector(what: string, load: (c: Cpu, selector: number) => void): (site: Site) => Op {
  return (site) => {
    const read = reader(
      site,
      0,
      isMemory(site.instruction, 0) ? 2 : narrowed(operandSize(site.instruction, 0)),
    );
    return (c) => {
      if (!c.protectedMode) throw c.ud(`${what} in real mode`);
      requireSupervisor(c, what);
      load(c, read(c) & 0xffff);
    };
  };
}

/** Selectors are read from the low half of a 64-bit register. */
function narrowed(size: Size): Size {
  return size === 8 ? 4 : size;
}

/** SLDT, STR, SMSW: to memory always 16 bits. */
function storeSelector(what: string, value: (c: Cpu) => number): (site: Site) => Op {
  return (site) => {
    if (isRegister(site.instruction, 0) && operandSize(site.instruction, 0) === 8) {
      const write = writer64(site, 0);
      return (c) => {
        requireNoUmip(c, what);
        write(c, value(c), 0);
      };
    }
    const size = isRegister(site.instruction, 0) ? operandSize(site.instruction, 0) : 2;
    const write = writer(site, 0, size);
    return (c) => {
      requireNoUmip(c, what);
      write(c, value(c));
    };
  };
}

function loadMachineStatus(site: Site): Op {
  const read = reader(
    site,
    0,
    isMemory(site.instruction, 0) ? 2 : narrowed(operandSize(site.instruction, 0)),
  );
  return (c) => {
    requireSupervisor(c, "LMSW");
    const value = read(c) & 0xf;
    // PE can be set but not cleared.
    writeCr0(c, BigInt(((c.cr0 & ~0xe) | value) >>> 0));
  };
}

// --- LAR LSL VERR VERW ---

/** The attributes and limit of a descriptor that the program may see, else undefined. */
function visible(c: Cpu, selector: number): { attributes: number; limit: number; high: number } | undefined {
  if ((selector & 0xfffc) === 0) return undefined;
  try {
    const descriptor = readDescriptor(c, selector);
    const attributes = attributesOf(descriptor);
    const conforming =
      (attributes & (SEG_S | SEG_CODE | SEG_CONFORMING)) === (SEG_S | SEG_CODE | SEG_CONFORMING);
    if (!conforming && Math.max(c.cpl, selector & 3) > dplOf(attributes)) return undefined;
    return { attributes, limit: limitOf(descriptor) | 0, high: descriptor.high };
  } catch (thrown) {
    if (thrown instanceof CpuFault && thrown.vector === 13) return undefined;
    throw thrown;
  }
}

const LSL_TYPES = new Set([1, 2, 3, 9, 11]);
const LAR_TYPES = new Set([1, 2, 3, 4, 5, 9, 11, 12]);
const LONG_MODE_TYPES = new Set([2, 9, 11]);

function typeAllowed(c: Cpu, attributes: number, limit: boolean): boolean {
  if ((attributes & SEG_S) !== 0) return true;
  const type = attributes & 0xf;
  if (c.longMode) return LONG_MODE_TYPES.has(type) || (!limit && type === 12);
  return (limit ? LSL_TYPES : LAR_TYPES).has(type);
}

function loadAccess(limit: boolean): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    const source = isMemory(site.instruction, 1) ? 2 : narrowed(operandSize(site.instruction, 1));
    const read = reader(site, 1, source);
    const write: (c: Cpu, value: number) => void = size === 8 ? wide(site) : writer(site, 0, size);
    return (c) => {
      const found = visible(c, read(c) & 0xffff);
      const ok = found !== undefined && typeAllowed(c, found.attributes, limit);
      setFlags(c.r, ZF, ok ? ZF : 0);
      if (ok) write(c, limit ? found.limit : found.high & 0xffff00);
    };
  };
}

function wide(site: Site): (c: Cpu, value: number) => void {
  const write = writer64(site, 0);
  return (c, value) => write(c, value, 0);
}

function verify(forWriting: boolean): (site: Site) => Op {
  return (site) => {
    const source = isMemory(site.instruction, 0) ? 2 : narrowed(operandSize(site.instruction, 0));
    const read = reader(site, 0, source);
    return (c) => {
      const found = visible(c, read(c) & 0xffff);
      setFlags(c.r, ZF, found !== undefined && allows(found.attributes, forWriting) ? ZF : 0);
    };
  };
}

function allows(attributes: number, forWriting: boolean): boolean {
  if ((attributes & SEG_S) === 0) return false;
  const code = (attributes & SEG_CODE) !== 0;
  const bit = (attributes & SEG_WRITABLE) !== 0;
  return forWriting ? !code && bit : !code || bit;
}

/** ARPL: raises the RPL of a selector to that of another; ZF tells whether it had to. It writes only then. */
function adjustPrivilege(site: Site): Op {
  const read = reader(site, 0, 2);
  const other = reader(site, 1, 2);
  const write = writer(site, 0, 2);
  return (c) => {
    const selector = read(c);
    const wanted = other(c) & 3;
    const raised = (selector & 3) < wanted;
    if (raised) write(c, (selector & ~3) | wanted);
    setFlags(c.r, ZF, raised ? ZF : 0);
  };
}

// --- CPUID, MSRs, counters ---

const cpuidResult = new Int32Array(4);

function identify(): Op {
  return (c) => {
    const { r } = c;
    const state = {
      osxsave: (c.cr4 & CR4_OSXSAVE) !== 0,
      ospke: (c.cr4 & CR4_PKE) !== 0,
      apicOff: (readMsrValue(c, MSR_APIC_BASE) & APIC_BASE_ENABLE) === 0n,
    };
    cpuid(c.model, r[2 * RAX] >>> 0, r[2 * RCX] >>> 0, state, cpuidResult);
    [RAX, RBX, RCX, RDX].forEach((register, i) => {
      r[2 * register] = cpuidResult[i];
      r[2 * register + 1] = 0;
    });
  };
}

/** EDX:EAX, zero-extended into the 64-bit registers. */
function setEdxEax(c: Cpu, value: bigint): void {
  c.setRegister(RAX, value & 0xffffffffn);
  c.setRegister(RDX, (value >> 32n) & 0xffffffffn);
}

function edxEax(c: Cpu): bigint {
  return (BigInt(c.r[2 * RDX] >>> 0) << 32n) | BigInt(c.r[2 * RAX] >>> 0);
}

function readModelSpecific(): Op {
  return (c) => {
    requireSupervisor(c, "RDMSR");
    setEdxEax(c, readMsr(c, c.r[2 * RCX] >>> 0));
  };
}

function writeModelSpecific(): Op {
  return (c) => {
    requireSupervisor(c, "WRMSR");
    writeMsr(c, c.r[2 * RCX] >>> 0, edxEax(c));
  };
}

function readTimeStamp(withAux: boolean): () => Op {
  return () => (c) => {
    if (c.cpl !== 0 && (c.cr4 & CR4_TSD) !== 0) throw c.gp(`RDTSC at CPL ${c.cpl} with CR4.TSD set`);
    const { r } = c;
    if (c.tscOffset === 0n) {
      const now = c.now();
      r[2 * RAX] = now | 0;
      r[2 * RAX + 1] = 0;
      r[2 * RDX] = Math.floor(now / 2 ** 32);
      r[2 * RDX + 1] = 0;
    } else setEdxEax(c, timeStamp(c));
    if (withAux) {
      // It holds 32 bits.
      r[2 * RCX] = Number(readMsrValue(c, MSR_TSC_AUX)) | 0;
      r[2 * RCX + 1] = 0;
    }
  };
}

// --- TLB ---

function invalidatePage(site: Site): Op {
  // INVLPG takes any address: it is not an access, and a non-canonical one does nothing.
  const address = linearAddress(site);
  return (c) => {
    requireSupervisor(c, "INVLPG");
    const low = address(c);
    const high = c.r[R_EA_HIGH];
    c.mmu.flushAddress(c.mmu.pcid, low, high, true);
    if (c.wants("tlb-flush")) {
      const at = join64(low, high);
      c.emit({ event: "tlb-flush", ...c.here(), cause: "invlpg", address: at, global: true });
    }
  };
}

/** INVPCID: type in the register, PCID and address in memory. */
function invalidatePcid(site: Site): Op {
  const address = linearAddress(site);
  const register = 2 * registerNumber(site.instruction.op0Register);
  return (c) => {
    requireSupervisor(c, "INVPCID");
    const { r, mmu } = c;
    const at = address(c);
    const atHigh = r[R_EA_HIGH];
    const type = site.bitness === 64 && r[register + 1] !== 0 ? 4 : r[register] >>> 0;
    const pcidLow = mmu.load64(at, atHigh);
    const pcidHigh = r[R_HIGH];
    r[R_EA_HIGH] = atHigh;
    const linearAt = advance(r, at, 8);
    const low = mmu.load64(linearAt, r[R_EA_HIGH]);
    const high = r[R_HIGH];
    if (type > 3) throw c.gp(`INVPCID: type ${type} does not exist`);
    const pcid = pcidLow >>> 0;
    if (pcid > 0xfff || pcidHigh !== 0) throw c.gp("INVPCID: a reserved bit of the descriptor is set");
    if (type < 2 && pcid !== 0 && (c.cr4 & CR4_PCIDE) === 0)
      throw c.gp("INVPCID: a PCID other than 0 without CR4.PCIDE");
    if (type === 0) {
      const linear = c.returned64(low);
      if (!c.isCanonicalAddress(linear)) throw c.gp("INVPCID: the address is not canonical");
      mmu.flushAddress(pcid, low, high, false);
    } else {
      if (type === 1) mmu.flushPcid(pcid);
      else if (type === 2) mmu.flushAll();
      else mmu.flushNonGlobal();
      c.code.newEpoch();
    }
    if (c.wants("tlb-flush")) {
      const withAddress = type === 0 ? { address: c.returned64(low) } : {};
      c.emit({ event: "tlb-flush", ...c.here(), cause: "invpcid", ...withAddress, global: type === 2 });
    }
  };
}

// --- bases, keys, the rest ---

function baseRegister(segment: number, writes: boolean): (site: Site) => Op {
  return (site) => {
    const base = R_SEGMENT_BASE + 2 * segment;
    const d = 2 * registerNumber(site.instruction.op0Register);
    const wideOperand = sizeOf(site) === 8;
    return (c) => {
      if ((c.cr4 & CR4_FSGSBASE) === 0) throw c.ud("RDFSBASE and its like without CR4.FSGSBASE");
      if (!writes) {
        c.r[d] = c.r[base];
        c.r[d + 1] = wideOperand ? c.r[base + 1] : 0;
        return;
      }
      const value = wideOperand ? c.pair(d) : c.pair(d) & 0xffffffffn;
      if (!c.isCanonicalAddress(value)) throw c.gp("the base is not canonical");
      c.setPair(base, value);
    };
  };
}

function swapGs(): Op {
  return (c) => {
    requireSupervisor(c, "SWAPGS");
    const base = c.segmentBase(GS);
    c.setPair(R_SEGMENT_BASE + 2 * GS, readMsrValue(c, MSR_KERNEL_GS_BASE));
    c.msrs.set(MSR_KERNEL_GS_BASE, base);
  };
}

function readKeys(): Op {
  return (c) => {
    if ((c.cr4 & CR4_PKE) === 0) throw c.ud("RDPKRU without CR4.PKE");
    if (c.r[2 * RCX] !== 0) throw c.gp("RDPKRU with ECX other than 0");
    setEdxEax(c, BigInt(c.paging.pkru >>> 0));
  };
}

function writeKeys(): Op {
  return (c) => {
    if ((c.cr4 & CR4_PKE) === 0) throw c.ud("WRPKRU without CR4.PKE");
    if (c.r[2 * RCX] !== 0 || c.r[2 * RDX] !== 0) throw c.gp("WRPKRU with ECX or EDX other than 0");
    c.paging.pkru = c.r[2 * RAX];
    c.mmu.flushCache();
  };
}

function halt(): Op {
  return (c) => {
    requireSupervisor(c, "HLT");
    if ((c.r[R_FLAGS] & IF) === 0) throw new Halted("HLT with interrupts disabled (RFLAGS.IF = 0)");
    if (isDeaf(c)) throw new Halted("HLT, and no device of this machine is going to raise an interrupt");
    c.halted = true;
    recheck(c);
  };
}

function supervisorNothing(what: string): () => Op {
  return () => (c) => requireSupervisor(c, what);
}

/** CLFLUSH and its like: caches are not modelled, but the address is translated as for a load. */
function flushLine(site: Site): Op {
  const address = linearAddress(site);
  return (c) => {
    const low = address(c);
    c.mmu.load8(low, c.r[R_EA_HIGH]);
  };
}

export const SYSTEM = new Map([
  ...endingFamily(
    [Mnemonic.Lgdt, loadTable("gdt")],
    [Mnemonic.Lidt, loadTable("idt")],
    [Mnemonic.Lldt, loadSelector("LLDT", loadLdt)],
    [Mnemonic.Ltr, loadSelector("LTR", loadTaskRegister)],
    [Mnemonic.Lmsw, loadMachineStatus],
    [Mnemonic.Wrmsr, withFeature("msr", writeModelSpecific)],
    [Mnemonic.Invpcid, withFeature("invpcid", invalidatePcid)],
    [Mnemonic.Wrpkru, withFeature("pku", writeKeys)],
    [Mnemonic.Swapgs, swapGs],
    [Mnemonic.Hlt, halt],
  ),
  ...family(
    [Mnemonic.Invlpg, invalidatePage],
    [Mnemonic.Rdtscp, withFeature("rdtscp", readTimeStamp(true))],
    [Mnemonic.Rdtsc, withFeature("tsc", readTimeStamp(false))],
    [Mnemonic.Rdmsr, withFeature("msr", readModelSpecific)],
    [Mnemonic.Cpuid, identify],
    [Mnemonic.Sgdt, storeTable("gdt")],
    [Mnemonic.Sidt, storeTable("idt")],
    [Mnemonic.Sldt, storeSelector("SLDT", (c) => c.selectors[LDTR])],
    [Mnemonic.Str, storeSelector("STR", (c) => c.selectors[TR])],
    [Mnemonic.Smsw, storeSelector("SMSW", (c) => c.cr0)],
    [Mnemonic.Lar, loadAccess(false)],
    [Mnemonic.Lsl, loadAccess(true)],
    [Mnemonic.Arpl, adjustPrivilege],
    [Mnemonic.Verr, verify(false)],
    [Mnemonic.Verw, verify(true)],
    [Mnemonic.Rdpkru, withFeature("pku", readKeys)],
    [Mnemonic.Rdfsbase, withFeature("fsgsbase", baseRegister(FS, false))],
    [Mnemonic.Rdgsbase, withFeature("fsgsbase", baseRegister(GS, false))],
    [Mnemonic.Wrfsbase, withFeature("fsgsbase", baseRegister(FS, true))],
    [Mnemonic.Wrgsbase, withFeature("fsgsbase", baseRegister(GS, true))],
    [
      Mnemonic.Clts,
      () => (c) => {
        requireSupervisor(c, "CLTS");
        c.cr0 &= ~CR0_TS;
      },
    ],
    [Mnemonic.Wbinvd, supervisorNothing("WBINVD")],
    [Mnemonic.Wbnoinvd, supervisorNothing("WBNOINVD")],
    [Mnemonic.Invd, supervisorNothing("INVD")],
    [Mnemonic.Clflush, withFeature("clflush", flushLine)],
    [Mnemonic.Clflushopt, withFeature("clflushopt", flushLine)],
    [Mnemonic.Clwb, withFeature("clwb", flushLine)],
    [Mnemonic.Ud0, () => undefinedOpcode("UD0")],
    [Mnemonic.Ud1, () => undefinedOpcode("UD1")],
    [Mnemonic.Ud2, () => undefinedOpcode("UD2")],
    [Mnemonic.INVALID, () => undefinedOpcode("the bytes are no instruction")],
  ),
]);
