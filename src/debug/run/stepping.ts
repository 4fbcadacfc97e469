/**
 * Steps, by what people mean by them. Stepping over a faulting access runs its handler to the end; stepping into it
 * enters the handler; stepping out of the handler comes back to the access, which is tried again.
 *
 * A step by lines goes on until the first instruction of a statement of another line, so that a return into the
 * middle of a line completes that line.
 */
import type { FunctionScope, LineRow } from "../../symbols/debugInfo";
import type { Motions } from "./motion";

export type Granularity = "statement" | "line" | "instruction";

/** What steps ask of the debuggee at its present place. */
export interface StepContext {
  /** RIP. */
  readonly rip: bigint;
  /** RSP. */
  readonly stackPointer: bigint;
  /** The row of the line table that holds RIP, with addresses as RIP has them now. */
  row(): LineRow | undefined;
  /** The innermost function at RIP, inlined or not, with addresses as RIP has them now. */
  function(): FunctionScope | undefined;
  /** Statements of the code around RIP, as far as a step may lead without a call or a return. */
  statements(): readonly LineRow[];
  /** The canonical frame address, where it is known. */
  frameAddress(): bigint | undefined;
  /** The caller, or the interrupted code, where it is known. */
  caller(): { rip: bigint; stackPointer: bigint; interrupted: boolean } | undefined;
  /** Where code that was entered by a call with RIP and RSP as given returns to; undefined unless it was a call. */
  returnAddress(rip: bigint, stackPointer: bigint): bigint | undefined;
  /** The first address behind a function's prologue. */
  bodyOf(scope: FunctionScope): bigint | undefined;
}

/** Single instructions in one line before the step goes on at full speed. */
const PATIENCE = 1000;
/** How far apart stack pointers in one frame are at most, where no frame information tells. */
const FRAME_SPAN = 4096n;

/** Instructions and lines as whole: calls and handlers run to their end. */
export function* stepOver(at: StepContext, granularity: Granularity): Motions {
  const start = at.row();
  if (granularity === "instruction" || start === undefined) {
    yield* overInstruction(at);
    return;
  }
  const frame = at.frameAddress();
  const { stackPointer } = at;
  for (let made = 0; made < PATIENCE; made++) {
    yield* overInstruction(at);
    if (isNewStatement(at, start, granularity)) return;
  }
  yield* atFullSpeed(at, start, granularity, frame, stackPointer);
}

/** Into the function that is called, or the handler of a fault. */
export function* stepInto(at: StepContext, granularity: Granularity): Motions {
  const start = at.row();
  if (granularity === "instruction" || start === undefined) {
    yield { move: "instruction" };
    return;
  }
  const frame = at.frameAddress();
  const { stackPointer } = at;
  for (let made = 0; made < PATIENCE; made++) {
    const before = { rip: at.rip, stackPointer: at.stackPointer };
    const { interrupted } = yield { move: "instruction" };
    if (interrupted !== undefined) return;
    const returns = at.returnAddress(before.rip, before.stackPointer);
    if (returns !== undefined) {
      if (at.row() !== undefined) {
        yield* toBody(at);
        return;
      }
      yield* toReturn(at, returns, before.stackPointer - 1n);
    }
    if (isNewStatement(at, start, granularity)) return;
  }
  yield* atFullSpeed(at, start, granularity, frame, stackPointer);
}

/** Back to the caller; from a handler to the access that faulted. Undefined where the caller is not known. */
export function stepOut(at: StepContext): Motions | undefined {
  const scope = at.function();
  if (scope?.inlined === true) return outOfInlined(at, scope);
  const caller = at.caller();
  if (caller === undefined) return undefined;
  return caller.interrupted
    ? toInterrupted(caller.stackPointer)
    : toReturn(at, caller.rip, caller.stackPointer - 1n);
}

/** One instruction; a fault's handler runs to its end, and the access is tried again. */
function* overInstruction(at: StepContext): Motions {
  const { rip, stackPointer } = at;
  for (;;) {
    const { interrupted } = yield { move: "instruction" };
    if (interrupted === undefined) break;
    yield* toInterrupted(interrupted.stackPointer);
    if (at.rip !== rip) return;
  }
  const returns = at.returnAddress(rip, stackPointer);
  if (returns !== undefined) yield* toReturn(at, returns, stackPointer - 1n);
}

function* toInterrupted(stackPointer: bigint): Motions {
  yield { move: "interrupt-return", stackPointer };
}

/** @param below RSP is above this once the call is over; a deeper call of the same code is not it */
function* toReturn(at: StepContext, address: bigint, below: bigint): Motions {
  yield { move: "to", addresses: [address], accept: () => at.stackPointer > below };
}

function* toBody(at: StepContext): Motions {
  const scope = at.function();
  const body = scope === undefined || scope.low !== at.rip ? undefined : at.bodyOf(scope);
  if (body === undefined || body === at.rip) return;
  const { stackPointer } = at;
  yield { move: "to", addresses: [body], accept: () => at.stackPointer <= stackPointer };
}

function* outOfInlined(at: StepContext, scope: FunctionScope): Motions {
  const inside = () => scope.ranges.some(({ start, end }) => at.rip >= start && at.rip < end);
  while (inside()) yield* overInstruction(at);
}

/** A loop within a line: breakpoints on every other statement and on the return, in this very frame. */
function* atFullSpeed(
  at: StepContext,
  start: LineRow,
  granularity: Granularity,
  frame: bigint | undefined,
  stackPointer: bigint,
): Motions {
  const others = at.statements().filter((row) => differs(row, start, granularity));
  const caller = at.caller();
  const addresses = others.map(({ address }) => address);
  if (caller !== undefined) addresses.push(caller.rip);
  yield {
    move: "to",
    addresses,
    accept: () => {
      if (at.rip === caller?.rip) return at.stackPointer >= caller.stackPointer;
      const here = at.frameAddress();
      if (frame !== undefined && here !== undefined) return here === frame;
      return at.stackPointer > stackPointer - FRAME_SPAN;
    },
  };
  for (let made = 0; made < PATIENCE && !isNewStatement(at, start, granularity); made++) {
    yield* overInstruction(at);
  }
}

function isNewStatement(at: StepContext, start: LineRow, granularity: Granularity): boolean {
  const row = at.row();
  if (row === undefined || !row.statement || row.address !== at.rip) return false;
  return differs(row, start, granularity);
}

function differs(row: LineRow, start: LineRow, granularity: Granularity): boolean {
  if (!row.statement || row.line === 0) return false;
  if (row.line !== start.line || row.file !== start.file) return true;
  return granularity === "statement" && row.column !== start.column;
}
