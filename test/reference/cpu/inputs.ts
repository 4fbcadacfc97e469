/**
 * Inputs that suit an instruction: values that chance alone would hardly bring together (a dividend whose quotient
 * fits, a stack pointer that points somewhere, equal operands for CMPXCHG).
 */
import { effectiveAddress, segmentBase } from "./addressing";
import { bytesOf, type CaseBuilder, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP } from "./builder";
import { DATA_LOW, WRITABLE_SIZE } from "./layout";

/** What an instruction wants. `before` runs ahead of the addressing, `after` with `builder.target` known. */
export interface Inputs {
  before?(builder: CaseBuilder, rm: number, reg: number): void;
  after?(builder: CaseBuilder, rm: number, reg: number): void;
}

const FLAG_AC = 1n << 18n;
const FLAG_DF = 0x400;

/** Puts the value of the r/m operand where it is: into its register or into memory. */
function setSource(builder: CaseBuilder, rm: number, value: bigint): void {
  if (builder.memory) builder.memoryValue = value;
  else builder.setLow(rm, builder.size, value);
}

/** A stack pointer into good memory, sometimes near its edges. */
function stack(builder: CaseBuilder): bigint {
  const { random, mode } = builder;
  const base = builder.pickBase();
  let top = builder.pickRoom(base);
  const kind = random.below(40);
  if (kind < 3) top = builder.pickData(8, base);
  else if (kind < 5)
    top = base + BigInt(random.pick([0, 2, 4, 6, 8, 0x2000, 0x1ffe, 0x1ffc, 0x1ff8, 0x3000, 0x2ffc]));
  else if (kind === 5 && mode === 64) top = (0x8000n << 44n) | (random.word64() >> 20n);
  builder.pin(RSP, top, mode);
  return top;
}

/** Operand bytes of a push or pop. */
function slot(builder: CaseBuilder): number {
  return builder.size / 8;
}

function pop(value: (builder: CaseBuilder) => bigint): Inputs {
  return {
    before: (builder) => {
      const top = stack(builder);
      builder.patch(top, bytesOf(value(builder), slot(builder)));
    },
  };
}

/** A branch target; sometimes one that cannot be. */
function landing(builder: CaseBuilder): bigint {
  const { random, mode } = builder;
  if (mode === 64 && random.percent(4)) return (0x8000n << 44n) + random.word64() / 0x10000n;
  return builder.pickLanding();
}

function divide(signed: boolean): Inputs {
  return {
    before: (builder, rm) => {
      const { random, size } = builder;
      if (random.percent(15)) return;
      const bits = BigInt(size);
      const narrow = (value: bigint): bigint =>
        signed ? BigInt.asIntN(size, value) : BigInt.asUintN(size, value);
      const divisor = narrow(random.operand() >> BigInt(random.below(size)));
      const quotient = narrow(random.operand() >> BigInt(random.below(size)));
      if (divisor === 0n) return;
      const rest = random.word64() % divisor;
      const dividend = quotient * divisor + (quotient < 0n !== divisor < 0n ? -rest : rest);
      if (size === 8) builder.setLow(RAX, 16, dividend);
      else {
        builder.setLow(RAX, size, dividend);
        builder.setLow(RDX, size, dividend >> bits);
      }
      setSource(builder, rm, divisor);
    },
  };
}

/** Counts up to a little over the widest operand, seldom larger. */
function count(builder: CaseBuilder): number {
  const { random } = builder;
  return random.percent(80) ? random.below(70) : random.below(256);
}

const shift: Inputs = {
  before: (builder) => {
    const value = count(builder);
    builder.setLow(RCX, 8, BigInt(value));
    if (builder.immediate.length === 1) builder.immediate[0] = value;
  },
};

/** With 16-bit operands a count over 16 gives an undefined result (SDM, SHLD and SHRD): not recorded. */
const doubleShift: Inputs = {
  before: (builder) => {
    let value = count(builder);
    if (builder.size === 16) value = (value & 0xe0) | builder.random.below(17);
    builder.pin(RCX, BigInt(value), 8);
    if (builder.immediate.length === 1) builder.immediate[0] = value;
  },
};

/** The bit offset in a register may lie far outside of the memory operand, on both sides. */
const bitTest: Inputs = {
  before: (builder, _rm, reg) => {
    if (builder.form.operands[1] !== "Gv" || !builder.memory) return;
    const { random, size } = builder;
    const reach = size > 16 && random.percent(10) ? 0x20000 : random.pick([size, 0x400, 0x4000]);
    builder.pin(reg, BigInt(random.between(-reach, reach)), size);
  },
};

const bitField: Inputs = {
  before: (builder) => {
    const { random } = builder;
    if (random.percent(70))
      builder.setLow(builder.vvvv, 16, BigInt((random.below(70) << 8) | random.below(70)));
  },
};

const compareExchange: Inputs = {
  after: (builder, rm) => {
    if (builder.random.percent(50)) setSource(builder, rm, builder.registers[RAX]);
  },
};

function compareExchangeWide(half: number): Inputs {
  return {
    after: (builder) => {
      const { random, registers } = builder;
      if (random.percent(50)) return;
      const low = BigInt.asUintN(half, registers[RAX]);
      builder.memoryValue = low | (BigInt.asUintN(half, registers[RDX]) << BigInt(half));
    },
  };
}

const translate: Inputs = {
  before: (builder) => {
    const base =
      builder.segment === undefined && builder.addressSize === builder.mode ? builder.pickBase() : DATA_LOW;
    const offset = effectiveAddress(builder, builder.pickData(1, base));
    if (offset === undefined) return;
    builder.setLow(RBX, builder.addressSize, offset - (builder.registers[RAX] & 0xffn));
  },
};

const bound: Inputs = {
  after: (builder, _rm, reg) => {
    const { random, size } = builder;
    const value = BigInt.asIntN(size, builder.registers[reg]);
    const lower = BigInt.asUintN(size, value - BigInt(random.between(-3, 20)));
    const upper = BigInt.asUintN(size, value + BigInt(random.between(-3, 20)));
    builder.memoryValue = lower | (upper << BigInt(size));
  },
};

const branchFar: Inputs = {
  before: (builder, rm) => {
    if (builder.form.mnemonic === "CALL") stack(builder);
    setSource(builder, rm, landing(builder));
  },
};

const counter: Inputs = {
  before: (builder) => {
    if (builder.random.percent(70)) builder.setLow(RCX, builder.addressSize, BigInt(builder.random.below(3)));
  },
};

const enter: Inputs = {
  before: (builder) => {
    const { random } = builder;
    stack(builder);
    builder.pin(RBP, builder.pickRoom(builder.pickBase()), builder.mode);
    const room = random.percent(80) ? random.below(100) : random.next() & 0xffff;
    const level = random.percent(40) ? 0 : random.percent(70) ? random.below(34) : random.below(256);
    builder.immediate = Uint8Array.of(room & 255, room >> 8, level);
  },
};

const leave: Inputs = {
  before: (builder) => {
    const top = stack(builder);
    builder.setLow(RBP, builder.mode, top);
    builder.setLow(RSP, builder.mode, builder.random.operand());
  },
};

/** Any flags but AC, which would make Linux and the recorder itself fault on misaligned accesses. */
function flagsImage(builder: CaseBuilder): bigint {
  return builder.random.word64() & ~FLAG_AC & (builder.random.percent(50) ? 0xfffn : -1n);
}

/** Equal stretches at source, destination and in the accumulator, so that REPE and REPNE run for a while. */
function stretch(builder: CaseBuilder, unit: number, source: bigint, destination: bigint): void {
  const { random, registers } = builder;
  if (random.percent(30)) return;
  const length = unit * random.between(1, 24);
  const down = (builder.flags & FLAG_DF) !== 0;
  const bytes = new Uint8Array(length);
  const word = random.percent(60) ? bytesOf(registers[RAX], unit) : bytesOf(random.operand(), unit);
  for (let i = 0; i < length; i++) bytes[i] = word[i % unit];
  const start = (address: bigint): bigint => (down ? address - BigInt(length - unit) : address);
  builder.patch(start(source), bytes);
  const other = bytes.slice();
  if (random.percent(60)) other[random.below(length)] ^= 1 << random.below(8);
  builder.patch(start(destination), other);
}

const string: Inputs = {
  before: (builder) => {
    const { random, mode, addressSize, size } = builder;
    if (random.percent(50)) builder.flags ^= FLAG_DF;
    const unit = size / 8;
    const low = mode === 32 || addressSize < mode || builder.segment !== undefined;
    const pick = (): bigint => {
      const base = low ? DATA_LOW : builder.pickBase();
      const edge =
        base + BigInt(random.pick([0, WRITABLE_SIZE]) + random.between(-12, 12) * random.pick([1, unit]));
      return random.percent(85) ? builder.pickRoom(base) : edge;
    };
    const source = pick();
    const destination = random.percent(15) ? source + BigInt(random.between(-20, 20)) : pick();
    const offset = effectiveAddress(builder, source) ?? source - segmentBase(builder);
    builder.setLow(RSI, addressSize, offset);
    builder.setLow(RDI, addressSize, destination);
    const many = random.percent(3);
    builder.setLow(RCX, addressSize, many ? random.operand() >> 40n : BigInt(random.below(25)));
    stretch(builder, unit, source, destination);
  },
};

const word = (builder: CaseBuilder): bigint => builder.random.operand();
const push: Inputs = { before: (builder) => void stack(builder) };
const bits: Inputs = bitTest;

/** By mnemonic. */
export const INPUTS: Readonly<Record<string, Inputs>> = {
  DIV: divide(false),
  IDIV: divide(true),
  ROL: shift,
  ROR: shift,
  RCL: shift,
  RCR: shift,
  SHL: shift,
  SHR: shift,
  SAL: shift,
  SAR: shift,
  SHLD: doubleShift,
  SHRD: doubleShift,
  BT: bits,
  BTS: bits,
  BTR: bits,
  BTC: bits,
  BEXTR: bitField,
  BZHI: bitField,
  CMPXCHG: compareExchange,
  CMPXCHG8B: compareExchangeWide(32),
  CMPXCHG16B: compareExchangeWide(64),
  XLATB: translate,
  BOUND: bound,
  JMP: branchFar,
  CALL: branchFar,
  RET: pop(landing),
  LOOP: counter,
  LOOPE: counter,
  LOOPNE: counter,
  JRCXZ: counter,
  PUSH: push,
  PUSHF: push,
  PUSHA: push,
  POP: pop(word),
  POPA: push,
  POPF: pop(flagsImage),
  ENTER: enter,
  LEAVE: leave,
  MOVS: string,
  CMPS: string,
  STOS: string,
  LODS: string,
  SCAS: string,
};
