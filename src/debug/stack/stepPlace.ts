/** The present place as steps see it: addresses as RIP has them, lookups at linked addresses. */
import { Decoder, DecoderOptions, FlowControl, Instruction } from "iced-x86";
import type { FunctionScope, LineRow } from "../../symbols/debugInfo";
import type { Target } from "../../target/target";
import type { StepContext } from "../run/stepping";
import type { CallStack } from "./stack";

/** Rows of one function, or of assembly around RIP, at most. */
const MOST_ROWS = 4096;
/** No instruction is longer. */
const LONGEST_INSTRUCTION = 15n;
const RSP = 4;

export class StepPlace implements StepContext {
  constructor(
    private readonly target: Target,
    private readonly stack: CallStack,
  ) {}

  get rip(): bigint {
    return this.target.machine.cpu.rip;
  }

  get stackPointer(): bigint {
    return this.target.machine.cpu.getRegister(RSP);
  }

  row(): LineRow | undefined {
    const linked = this.linked();
    const row = linked === undefined ? undefined : this.target.symbols.lines?.rowOf(linked);
    return row === undefined || row.line === 0 ? undefined : this.moved(row);
  }

  function(): FunctionScope | undefined {
    const linked = this.linked();
    const scope = linked === undefined ? undefined : this.target.symbols.debug?.functionsAt(linked)[0];
    if (scope === undefined) return undefined;
    const by = this.offset();
    const ranges = scope.ranges.map(({ start, end }) => ({ start: start + by, end: end + by }));
    return { ...scope, low: scope.low + by, ranges };
  }

  statements(): readonly LineRow[] {
    const linked = this.linked();
    if (linked === undefined) return [];
    const outer = this.target.symbols.debug?.functionsAt(linked).at(-1);
    const rows =
      outer === undefined
        ? this.rowsFrom(linked, undefined)
        : outer.ranges.flatMap(({ start, end }) => this.rowsFrom(start, end));
    return rows.filter(({ statement }) => statement).map((row) => this.moved(row));
  }

  frameAddress(): bigint | undefined {
    this.stack.invalidate();
    return this.stack.top().frameAddress;
  }

  caller(): { rip: bigint; stackPointer: bigint; interrupted: boolean } | undefined {
    this.stack.invalidate();
    return this.stack.caller();
  }

  returnAddress(rip: bigint, stackPointer: bigint): bigint | undefined {
    const size = this.target.machine.cpu.code64 ? 8 : 4;
    if (this.stackPointer !== stackPointer - BigInt(size)) return undefined;
    const bytes = this.target.readExactly(this.stackPointer, size);
    if (bytes === undefined) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const returns = size === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
    const length = returns - rip;
    return length > 0n && length <= LONGEST_INSTRUCTION && returns !== this.rip ? returns : undefined;
  }

  bodyOf(scope: FunctionScope): bigint | undefined {
    const by = this.offset();
    const body = bodyOf(this.target, scope.low - by);
    return body === undefined ? undefined : body + by;
  }

  private rowsFrom(start: bigint, end: bigint | undefined): LineRow[] {
    const rows: LineRow[] = [];
    const { lines } = this.target.symbols;
    for (let at = start; rows.length < MOST_ROWS && (end === undefined || at < end); ) {
      const row = lines?.rowOf(at);
      if (row === undefined || row.end <= at) break;
      rows.push(row);
      at = row.end;
    }
    return rows;
  }

  private linked(): bigint | undefined {
    return this.target.symbols.linkedOf(this.rip);
  }

  /** From linked addresses to those that RIP is among. */
  private offset(): bigint {
    return this.rip - (this.linked() ?? this.rip);
  }

  private moved(row: LineRow): LineRow {
    const by = this.offset();
    return by === 0n ? row : { ...row, address: row.address + by, end: row.end + by };
  }
}

/**
 * Where the body of a function begins, linked: the row that ends its prologue, else the second row of its first line
 * or the first of another line. The entry itself where the lines do not tell, or a branch comes before.
 * @param low the function's first address, linked
 */
export function bodyOf(target: Target, low: bigint): bigint | undefined {
  const { lines } = target.symbols;
  const first = lines?.rowOf(low);
  if (lines === undefined || first === undefined) return undefined;
  const scope = target.symbols.debug?.functionsAt(low).at(-1);
  // Assembly has no prologue, and its functions are declared nowhere.
  if (scope?.declared === undefined) return low;
  let second: bigint | undefined;
  for (let at = first.end; scope.ranges.some(({ start, end }) => at >= start && at < end); ) {
    const row = lines.rowOf(at);
    if (row === undefined || row.end <= at) break;
    if (row.prologueEnd) return row.address;
    if (row.statement && row.line !== 0) second ??= row.address;
    if (second !== undefined && row.address - low > MOST_PROLOGUE) break;
    at = row.end;
  }
  return second !== undefined && runsThrough(target, low, second) ? second : low;
}

/**
 * Whether code, as linked, runs from one address to another without a branch: a compiler may put a path that is not
 * taken before the prologue, and a breakpoint there would never be met. Memory may not have that code yet.
 */
function runsThrough(target: Target, from: bigint, to: bigint): boolean {
  const bytes = target.symbols.contentsAt(from, Number(to - from));
  if (bytes === undefined) return false;
  const decoder = new Decoder(target.symbols.debug?.addressSize === 4 ? 32 : 64, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    while (decoder.canDecode) {
      decoder.decodeOut(instruction);
      const { flowControl } = instruction;
      const goesOn = flowControl === FlowControl.Next || flowControl === FlowControl.Call;
      if (instruction.isInvalid || !goesOn) return false;
    }
    return true;
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** Bytes in which a prologue ends. */
const MOST_PROLOGUE = 64n;
