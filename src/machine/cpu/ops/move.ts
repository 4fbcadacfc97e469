/** MOV MOVZX MOVSX MOVSXD LEA XCHG CMOVcc XLAT LDS and its like (SDM vol. 2). */
import { Mnemonic, Register } from "iced-x86";
import type { Cpu } from "../cpu";
import { BR, NO_ERROR } from "../fault";
import { CONDITIONS } from "../flags";
import { inhibitInterrupts } from "../interrupt";
import {
  effectiveAddress,
  immediateOf,
  inSegment,
  isMemory,
  isRegister,
  linearAddress,
  load,
  modify,
  modify64,
  type Op,
  operandSize,
  reader,
  reader64,
  registerNumber,
  type Site,
  type Size,
  segmentNumber,
  writer,
  writer64,
} from "../operands";
import { CS, R_EA_HIGH, R_HIGH, RAX, RBX, SS } from "../registers";
import { loadSegment } from "../segments";
import { CMOV_MNEMONICS } from "./conditions";
import { moveControl, moveDebug } from "./controlMoves";
import { endingFamily, family, sizeOf, undefinedOpcode, withFeature } from "./family";
import type { Builder } from "./table";

function isSegment(register: Register): boolean {
  return register >= Register.ES && register <= Register.GS;
}

function isControl(register: Register): boolean {
  return register >= Register.CR0 && register <= Register.CR15;
}

function isDebug(register: Register): boolean {
  return register >= Register.DR0 && register <= Register.DR15;
}

function move(site: Site): Op {
  const { instruction } = site;
  for (const n of [0, 1]) {
    if (!isRegister(instruction, n)) continue;
    const register = instruction.opRegister(n);
    if (isSegment(register)) return n === 0 ? moveToSegment(site) : moveFromSegment(site);
    if (isControl(register)) return moveControl(site, n);
    if (isDebug(register)) return moveDebug(site, n);
  }
  const size = sizeOf(site);
  if (size === 8) return move64(site);
  if (size === 4 && isRegister(instruction, 0)) return moveToRegister32(site);
  const read = reader(site, 1, size);
  const write = writer(site, 0, size);
  return (c) => write(c, read(c));
}

function moveToRegister32(site: Site): Op {
  const { instruction } = site;
  const d = 2 * registerNumber(instruction.op0Register);
  if (isRegister(instruction, 1)) {
    const s = 2 * registerNumber(instruction.op1Register);
    return (c) => {
      const { r } = c;
      r[d] = r[s];
      r[d + 1] = 0;
    };
  }
  if (!isMemory(instruction, 1)) {
    const { low } = immediateOf(instruction, 1);
    return (c) => {
      const { r } = c;
      r[d] = low;
      r[d + 1] = 0;
    };
  }
  const address = linearAddress(site);
  return (c) => {
    const { r } = c;
    const at = address(c);
    r[d] = c.mmu.load32(at, r[R_EA_HIGH]);
    r[d + 1] = 0;
  };
}

function move64(site: Site): Op {
  const { instruction } = site;
  if (isRegister(instruction, 0)) {
    const d = 2 * registerNumber(instruction.op0Register);
    if (isRegister(instruction, 1)) {
      const s = 2 * registerNumber(instruction.op1Register);
      return (c) => {
        const { r } = c;
        r[d] = r[s];
        r[d + 1] = r[s + 1];
      };
    }
    if (!isMemory(instruction, 1)) {
      const { low, high } = immediateOf(instruction, 1);
      return (c) => {
        const { r } = c;
        r[d] = low;
        r[d + 1] = high;
      };
    }
    const address = linearAddress(site);
    return (c) => {
      const { r } = c;
      const at = address(c);
      r[d] = c.mmu.load64(at, r[R_EA_HIGH]);
      r[d + 1] = r[R_HIGH];
    };
  }
  const address = linearAddress(site, true);
  if (isRegister(instruction, 1)) {
    const s = 2 * registerNumber(instruction.op1Register);
    return (c) => {
      const { r } = c;
      const at = address(c);
      c.mmu.store64(at, r[R_EA_HIGH], r[s], r[s + 1]);
    };
  }
  const { low, high } = immediateOf(instruction, 1);
  return (c) => {
    const at = address(c);
    c.mmu.store64(at, c.r[R_EA_HIGH], low, high);
  };
}

function moveToSegment(site: Site): Op {
  const segment = segmentNumber(site.instruction.op0Register);
  if (segment === CS) return undefinedOpcode("CS cannot be loaded with MOV");
  const source = isRegister(site.instruction, 1) ? operandSize(site.instruction, 1) : 2;
  if (source === 8) {
    const index = 2 * registerNumber(site.instruction.op1Register);
    return (c) => moveSelector(c, segment, c.r[index] & 0xffff);
  }
  const read = reader(site, 1, source);
  return (c) => moveSelector(c, segment, read(c) & 0xffff);
}

function moveSelector(c: Cpu, segment: number, selector: number): void {
  loadSegment(c, segment, selector);
  if (segment === SS) inhibitInterrupts(c);
}

/** To a register the selector is zero-extended, to memory it is always 16 bits. */
function moveFromSegment(site: Site): Op {
  const segment = segmentNumber(site.instruction.op1Register);
  if (!isRegister(site.instruction, 0)) {
    const write = writer(site, 0, 2);
    return (c) => write(c, c.selectors[segment]);
  }
  if (sizeOf(site) === 8) {
    const write = writer64(site, 0);
    return (c) => write(c, c.selectors[segment], 0);
  }
  const write = writer(site, 0, sizeOf(site));
  return (c) => write(c, c.selectors[segment]);
}

/** MOVZX, MOVSX and MOVSXD. */
function extend(signed: boolean): (site: Site) => Op {
  return (site) => {
    const from = operandSize(site.instruction, 1);
    const read = reader(site, 1, from);
    const mask = from === 1 ? 0xff : from === 2 ? 0xffff : -1;
    const size = sizeOf(site);
    if (size === 8) {
      const d = 2 * registerNumber(site.instruction.op0Register);
      return (c) => {
        const value = read(c);
        c.r[d] = signed ? value : value & mask;
        c.r[d + 1] = signed ? value >> 31 : 0;
      };
    }
    const write = writer(site, 0, size);
    return (c) => {
      const value = read(c);
      write(c, signed ? value : value & mask);
    };
  };
}

function loadEffectiveAddress(site: Site): Op {
  const address = effectiveAddress(site);
  if (sizeOf(site) === 8) {
    const d = 2 * registerNumber(site.instruction.op0Register);
    return (c) => {
      const low = address(c);
      c.r[d] = low;
      c.r[d + 1] = c.r[R_EA_HIGH];
    };
  }
  const write = writer(site, 0, sizeOf(site));
  return (c) => write(c, address(c));
}

/** XCHG: the decoder gives a memory operand first. */
function exchange(site: Site): Op {
  const size = sizeOf(site);
  const s = 2 * registerNumber(site.instruction.op1Register);
  if (size === 8) {
    return modify64(site, (c, low, high) => {
      const { r } = c;
      const value = r[s];
      r[R_HIGH] = r[s + 1];
      r[s] = low;
      r[s + 1] = high;
      return value;
    });
  }
  const read = reader(site, 1, size);
  const write = writer(site, 1, size);
  return modify(site, size, (c, old) => {
    const value = read(c);
    write(c, old);
    return value;
  });
}

/** CMOVcc always reads its source; a 32-bit destination is zero-extended whether it moves or not. */
function conditionalMove(condition: number): (site: Site) => Op {
  return (site) => {
    const test = CONDITIONS[condition];
    const size = sizeOf(site);
    if (size === 8) {
      const read = reader64(site, 1);
      const d = 2 * registerNumber(site.instruction.op0Register);
      return (c) => {
        const low = read(c);
        if (!test(c.r)) return;
        c.r[d] = low;
        c.r[d + 1] = c.r[R_HIGH];
      };
    }
    const read = reader(site, 1, size);
    const old = reader(site, 0, size);
    const write = writer(site, 0, size);
    return (c) => {
      const value = read(c);
      write(c, test(c.r) ? value : old(c));
    };
  };
}

/** XLAT: AL = [rBX + AL], in DS unless overridden. */
function translateByte(site: Site): Op {
  const { instruction } = site;
  const base = instruction.memoryBase;
  const size: Size = base === Register.RBX ? 8 : base === Register.EBX ? 4 : 2;
  const offset = (c: { r: Int32Array; r8: Uint8Array }) => {
    const { r } = c;
    const low = (r[2 * RBX] + c.r8[8 * RAX]) | 0;
    r[R_EA_HIGH] = size === 8 ? (r[2 * RBX + 1] + (low >>> 0 < r[2 * RBX] >>> 0 ? 1 : 0)) | 0 : 0;
    return size === 2 ? low & 0xffff : low;
  };
  const address = inSegment(site, offset, segmentNumber(instruction.memorySegment), 1);
  return (c) => {
    const low = address(c);
    c.r8[0] = c.mmu.load8(low, c.r[R_EA_HIGH]);
  };
}

/** BOUND: #BR where the signed register is not between two words in memory. */
function checkBounds(site: Site): Op {
  const size = sizeOf(site);
  const read = reader(site, 0, size);
  const address = linearAddress(site);
  return (c) => {
    const index = read(c);
    const low = address(c);
    const lower = load(c, low, 0, size);
    const upper = load(c, (low + size) | 0, 0, size);
    if (index < lower || index > upper)
      throw c.raise(BR, NO_ERROR, "BOUND: the index is outside of its bounds");
  };
}

/** LDS LES LFS LGS LSS: an offset, then a selector behind it. */
function loadFarPointer(segment: number): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    const address = linearAddress(site);
    const d = 2 * registerNumber(site.instruction.op0Register);
    return (c) => {
      const { r, mmu } = c;
      const low = address(c);
      const high = r[R_EA_HIGH];
      const value = size === 8 ? mmu.load64(low, high) : load(c, low, high, size);
      const valueHigh = size === 8 ? r[R_HIGH] : 0;
      const next = (low + size) | 0;
      const selector =
        mmu.load16(next, next >>> 0 < low >>> 0 && site.bitness === 64 ? high + 1 : high) & 0xffff;
      loadSegment(c, segment, selector);
      if (size === 2) c.r16[2 * d] = value;
      else {
        r[d] = value;
        r[d + 1] = valueHigh;
      }
    };
  };
}

function conditionalMoves(): [Mnemonic, Builder][] {
  return CMOV_MNEMONICS.map((mnemonic, condition) => [
    mnemonic,
    { build: withFeature("cmov", conditionalMove(condition)) },
  ]);
}

const PLAIN: [Mnemonic, Builder][] = family(
  [Mnemonic.Movzx, extend(false)],
  [Mnemonic.Movsx, extend(true)],
  [Mnemonic.Movsxd, moveSignExtended],
  [Mnemonic.Lea, loadEffectiveAddress],
  [Mnemonic.Xchg, exchange],
  [Mnemonic.Xlatb, translateByte],
  [Mnemonic.Movnti, move],
  [Mnemonic.Bound, checkBounds],
);

/** MOVSXD without REX.W is a plain 32-bit (or 16-bit) move. */
function moveSignExtended(site: Site): Op {
  if (sizeOf(site) === 8) return extend(true)(site);
  const size = sizeOf(site);
  const read = reader(site, 1, size);
  const write = writer(site, 0, size);
  return (c) => write(c, read(c));
}

const ENDING: [Mnemonic, Builder][] = endingFamily(
  [Mnemonic.Lds, loadFarPointer(3)],
  [Mnemonic.Les, loadFarPointer(0)],
  [Mnemonic.Lfs, loadFarPointer(4)],
  [Mnemonic.Lgs, loadFarPointer(5)],
  [Mnemonic.Lss, loadFarPointer(2)],
);

/** MOV ends a block where it writes a segment, control or debug register. */
export const MOVE = new Map<Mnemonic, Builder>([
  [Mnemonic.Mov, { build: move, endsFor: movesToSystemRegister }],
  ...PLAIN,
  ...ENDING,
  ...conditionalMoves(),
]);

function movesToSystemRegister(instruction: Site["instruction"]): boolean {
  if (!isRegister(instruction, 0)) return false;
  const register = instruction.op0Register;
  return isSegment(register) || isControl(register) || isDebug(register);
}
