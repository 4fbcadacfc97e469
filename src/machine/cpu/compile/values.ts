/** Operands in X and Y, a result in V: what instructions that compute something have in common. */
import {
  isMemory,
  isRegister,
  operandSize,
  registerNumber,
  registerSize,
  type Site,
  type Size,
} from "../operands";
import type { Code, Operation } from "./assembler";
import { type Emitter, isPlainOperand } from "./emitter";
import { V, V32, X, X32, Y, Y32 } from "./locals";

/** Operations that there are for both i32 and i64. */
type Suffix<Name> = Name extends `i32_${infer Rest}` ? Rest : never;
type WideSuffix<Name> = Name extends `i64_${infer Rest}` ? Rest : never;
type Typed = Suffix<Operation> & WideSuffix<Operation>;

/** Two operands and the result of an operation; those of less than 8 bytes are i32, sign-extended. */
export interface Locals {
  readonly x: number;
  readonly y: number;
  readonly v: number;
}

const WIDE: Locals = { x: X, y: Y, v: V };
const NARROW: Locals = { x: X32, y: Y32, v: V32 };

export function localsOf(size: Size): Locals {
  return size === 8 ? WIDE : NARROW;
}

/** The operation of i64 or i32 by its name. */
export function typed(wide: boolean, name: Typed): Operation {
  return wide ? `i64_${name}` : `i32_${name}`;
}

/** Pushes a constant, i64 or i32. */
export function constant(code: Code, wide: boolean, value: number): void {
  if (wide) code.i64(value);
  else code.i32(value);
}

/** What an instruction reads, and what it leaves apart from the result. */
export interface Shape {
  /** Numbers of the operands that go to X and Y. At most one is memory; where that is written it is operand 0. */
  readonly sources: readonly number[];
  /** Whether V is the new value of operand 0. */
  readonly writes: boolean;
  readonly flags: boolean;
  /** Further general registers that are written. */
  readonly registers?: readonly number[];
  /** Emitted once the linear address is in its local, to change it. */
  readonly moveAddress?: (() => void) | undefined;
}

/**
 * Emits an instruction whose operands are of the size of operand 0: has the sources in X and Y, does `compute`, and
 * stores V. False where there is no code for its operands.
 */
export function emitOperation(e: Emitter, site: Site, shape: Shape, compute: () => void): boolean {
  const { instruction } = site;
  const { sources, writes, flags } = shape;
  const size = operandSize(instruction, 0);
  const memory = sources.find((n) => isMemory(instruction, n));
  for (const n of sources) if (n !== memory && !isPlainOperand(site, n)) return false;
  const locals = localsOf(size);
  const places = [locals.x, locals.y];
  if (memory === undefined) {
    sources.forEach((n, index) => {
      operand(e, site, n, size);
      e.code.set(places[index]);
    });
    compute();
    if (writes) setOperand(e, site, 0, locals.v);
    return true;
  }
  if (!e.address(site)) return false;
  shape.moveAddress?.();
  for (const n of sources) e.touchOperand(site, n);
  const stores = memory === 0 && writes;
  const registers = [...(shape.registers ?? []), ...(writes && !stores ? wideRegister(site, 0) : [])];
  e.access(stores, size, { flags, registers }, () => {
    sources.forEach((n, index) => {
      if (n === memory) {
        e.host(stores);
        e.load(size);
      } else operand(e, site, n, size);
      e.code.set(places[index]);
    });
    compute();
    if (stores) {
      e.host(true);
      e.code.get(locals.v);
      e.store(size);
    } else if (writes) setOperand(e, site, 0, locals.v);
  });
  return true;
}

/** The register of an operand whose local is written: those of 4 and 8 bytes. */
export function wideRegister({ instruction }: Site, n: number): readonly number[] {
  if (!isRegister(instruction, n)) return [];
  const register = instruction.opRegister(n);
  return registerSize(register) >= 4 ? [registerNumber(register)] : [];
}

/** Pushes an operand that is no memory. */
export function operand(e: Emitter, site: Site, n: number, size: Size): void {
  if (size === 8) e.wideOperand(site, n);
  else e.narrowOperand(site, n);
}

/** Writes a local to the register that is an operand: an i64 to one of 8 bytes, else an i32. */
export function setOperand(e: Emitter, { instruction }: Site, n: number, local: number): void {
  const register = instruction.opRegister(n);
  if (registerSize(register) === 8) {
    e.code.get(local);
    e.setRegister(registerNumber(register));
  } else e.setNarrowRegister(register, local);
}

/** From an i32 on the stack to one that is sign-extended from `size` bytes. */
export function extendNarrow(code: Code, size: Size): void {
  if (size === 1) code.op("i32_extend8_s");
  else if (size === 2) code.op("i32_extend16_s");
}
