/** Memory operands: picks a ModRM/SIB shape and solves for register values or displacement so that it meets a target. */
import { bytesOf, type CaseBuilder, RBP, RBX, RDI, RSI, RSP } from "./builder";
import { DATA_HIGH, DATA_LOW, FS_BASE, GS_BASE } from "./layout";

export const PREFIX_FS = 0x64;
export const PREFIX_GS = 0x65;

interface Shape {
  /** Register numbers; undefined for none. */
  base: number | undefined;
  index: number | undefined;
  scale: number;
  displacement: number;
  displacementBytes: number;
  relative: boolean;
}

/** The bases of 16-bit addressing by ModRM.rm (SDM vol. 2, table 2-1). */
const PAIRS_16: readonly (readonly number[])[] = [
  [RBX, RSI],
  [RBX, RDI],
  [RBP, RSI],
  [RBP, RDI],
  [RSI],
  [RDI],
  [RBP],
  [RBX],
];

/** The base of the segment that an override prefix selects; the others are flat. */
export function segmentBase(builder: CaseBuilder): bigint {
  const bits = builder.mode;
  if (builder.segment === PREFIX_FS) return BigInt.asUintN(bits, FS_BASE);
  if (builder.segment === PREFIX_GS) return BigInt.asUintN(bits, GS_BASE);
  return 0n;
}

/** The effective address that leads to a linear one, or undefined where the address size has none. */
export function effectiveAddress(builder: CaseBuilder, linear: bigint): bigint | undefined {
  const offset = BigInt.asUintN(builder.mode, linear - segmentBase(builder));
  return offset >> BigInt(builder.addressSize) === 0n ? offset : undefined;
}

/** The address of the memory operand; `undefined` leaves registers and displacement to chance (LEA, NOP). */
export type TargetPicker = ((base: bigint) => bigint) | undefined;

/**
 * Fills in ModRM, SIB and displacement.
 * @returns the address of the instruction
 */
export function address(builder: CaseBuilder, reg: number, pick: TargetPicker): bigint {
  const { rex } = builder;
  for (let attempt = 0; attempt < 200; attempt++) {
    builder.rex = rex;
    const base = builder.mode === 64 && builder.random.percent(60) ? DATA_HIGH : DATA_LOW;
    const target = pick?.(base);
    const wanted = target === undefined ? undefined : effectiveAddress(builder, target);
    if (target !== undefined && wanted === undefined) continue;
    builder.target = target;
    const place = builder.addressSize === 16 ? meet16(builder, reg, wanted) : meet(builder, reg, wanted);
    if (place !== undefined) return place;
  }
  throw new Error(`no address for ${builder.form.text}`);
}

function pickDisplacement(builder: CaseBuilder): Pick<Shape, "displacement" | "displacementBytes"> {
  const { random } = builder;
  const kind = random.below(4);
  if (kind === 0) return { displacement: 0, displacementBytes: 0 };
  if (kind < 3) return { displacement: random.between(-128, 127), displacementBytes: 1 };
  const displacement = random.percent(50) ? random.between(-70000, 70000) : random.next() | 0;
  return { displacement, displacementBytes: 4 };
}

function pickShape(builder: CaseBuilder): Shape {
  const { random, registerCount } = builder;
  const shape: Shape = {
    base: random.below(registerCount),
    index: undefined,
    scale: 0,
    relative: false,
    ...pickDisplacement(builder),
  };
  const kind = random.below(12);
  if (kind < 6) return shape;
  shape.scale = random.below(4);
  shape.index = random.below(registerCount);
  if (shape.index === RSP) shape.index = undefined;
  if (kind < 10) return shape;
  if (kind === 10)
    return { ...shape, base: undefined, displacement: random.next() | 0, displacementBytes: 4 };
  return {
    ...shape,
    base: undefined,
    index: undefined,
    displacementBytes: 4,
    relative: builder.random.percent(75),
  };
}

/** ModRM and SIB of a shape, with the REX bits they need. */
function encodeShape(builder: CaseBuilder, reg: number, shape: Shape): void {
  const { base, index, scale } = shape;
  const field = (reg & 7) << 3;
  if (reg > 7) builder.rex |= 4;
  if (
    shape.relative ||
    (base === undefined && index === undefined && builder.mode === 32 && builder.random.percent(50))
  ) {
    builder.modrm = [field | 5];
    return;
  }
  if (base === undefined) {
    if (index !== undefined && index > 7) builder.rex |= 2;
    builder.modrm = [field | 4, (scale << 6) | (((index ?? RSP) & 7) << 3) | 5];
    return;
  }
  if (shape.displacementBytes === 0 && (base & 7) === RBP) shape.displacementBytes = 1;
  const mod = { 0: 0, 1: 0x40, 4: 0x80 }[shape.displacementBytes]!;
  if (base > 7) builder.rex |= 1;
  if (index === undefined && scale === 0 && (base & 7) !== RSP) {
    builder.modrm = [mod | field | (base & 7)];
    return;
  }
  if (index !== undefined && index > 7) builder.rex |= 2;
  builder.modrm = [mod | field | 4, (scale << 6) | (((index ?? RSP) & 7) << 3) | (base & 7)];
}

function meet(builder: CaseBuilder, reg: number, wanted: bigint | undefined): bigint | undefined {
  const shape = pickShape(builder);
  if (shape.relative && builder.mode === 32) shape.relative = false;
  encodeShape(builder, reg, shape);
  const length = builder.length(shape.displacementBytes);
  const place = builder.place(length);
  const noRegisters = shape.base === undefined && shape.index === undefined;
  if (wanted !== undefined) {
    const origin = shape.relative ? place + BigInt(length) : 0n;
    if (noRegisters) {
      const displacement = BigInt.asIntN(builder.addressSize, wanted - origin);
      if (displacement !== BigInt.asIntN(32, displacement)) return undefined;
      shape.displacement = Number(displacement);
    } else if (!solve(builder, shape, wanted - BigInt(shape.displacement))) return undefined;
  }
  builder.displacement = bytesOf(BigInt.asUintN(32, BigInt(shape.displacement)), shape.displacementBytes);
  return place;
}

/** Sets base and index such that base + index * scale = sum, modulo the address size. */
function solve(builder: CaseBuilder, shape: Shape, sum: bigint): boolean {
  const { registers, pinned, addressSize } = builder;
  const { base, index } = shape;
  const shift = BigInt(shape.scale);
  const modular = (value: bigint): bigint => BigInt.asUintN(addressSize, value);
  const fixedBase = base !== undefined && (pinned.has(base) || base === index);
  if (base !== undefined && !fixedBase) {
    const rest = index === undefined ? sum : sum - (registers[index] << shift);
    builder.setLow(base, addressSize, modular(rest));
    return true;
  }
  if (index === undefined) return modular(registers[base!]) === modular(sum);
  if (pinned.has(index))
    return (
      modular((base === undefined ? 0n : registers[base]) + (registers[index] << shift)) === modular(sum)
    );
  if (base === index) {
    if (shift === 0n) {
      if ((sum & 1n) !== 0n) return false;
      builder.setLow(index, addressSize, modular(sum) >> 1n);
    } else builder.setLow(index, addressSize, modular(sum * inverse(1n + (1n << shift), addressSize)));
    return true;
  }
  const rest = modular(sum - (base === undefined ? 0n : registers[base]));
  if ((rest & ((1n << shift) - 1n)) !== 0n) return false;
  const free = BigInt(builder.random.below(1 << shape.scale)) << BigInt(addressSize);
  builder.setLow(index, addressSize, (rest | free) >> shift);
  return true;
}

/** The inverse of an odd number modulo 2^bits, by Newton's iteration. */
function inverse(value: bigint, bits: number): bigint {
  let result = value;
  for (let i = 0; i < 6; i++) result = BigInt.asUintN(bits, result * (2n - value * result));
  return result;
}

function meet16(builder: CaseBuilder, reg: number, wanted: bigint | undefined): bigint | undefined {
  const { random, registers } = builder;
  const rm = random.below(8);
  const field = (reg & 7) << 3;
  const absolute = rm === 6 && random.percent(50);
  const displacementBytes = absolute ? 2 : rm === 6 ? random.between(1, 2) : random.below(3);
  builder.modrm = [(absolute ? 0 : displacementBytes << 6) | field | rm];
  const place = builder.place(builder.length(displacementBytes));
  let displacement = displacementBytes === 1 ? random.between(-128, 127) : random.next() & 0xffff;
  if (displacementBytes === 0) displacement = 0;
  if (wanted !== undefined && absolute) displacement = Number(wanted);
  else if (wanted !== undefined) {
    const [base, index] = PAIRS_16[rm];
    if (builder.pinned.has(base)) return undefined;
    const rest = index === undefined ? 0n : registers[index];
    builder.setLow(base, 16, wanted - BigInt(displacement) - rest);
  }
  builder.displacement = bytesOf(BigInt.asUintN(16, BigInt(displacement)), displacementBytes);
  return place;
}
