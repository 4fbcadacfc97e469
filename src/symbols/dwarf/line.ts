/**
 * The line number program (DWARF 5, 6.2): runs it once and keeps its matrix of rows, to find the source line of an
 * address and the addresses of a line.
 */
import { signedAddress } from "../intervals";
import { DW_LNE, DW_LNS } from "./constants";
import { type LineContext, type LineHeader, pathOf, readFile4, readLineHeader } from "./lineHeader";
import type { DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";

/** Flags of a row (6.2.2). */
export const ROW_IS_STATEMENT = 1;
export const ROW_PROLOGUE_END = 2;
/** The row gives the first address behind its sequence, and no line. */
export const ROW_END_SEQUENCE = 4;

/** One row of the matrix. */
export interface LineRow {
  readonly address: bigint;
  /** Number of the file in the header. */
  readonly file: number;
  /** From 1 on; 0 where the code belongs to no line. */
  readonly line: number;
  /** From 1 on; 0 for the left edge. */
  readonly column: number;
  /** ROW_* flags. */
  readonly flags: number;
}

/** A run of rows with rising addresses, from `first` on; the row at `last` ends it. */
interface Sequence {
  readonly first: number;
  readonly last: number;
}

/**
 * The rows of one line number program, in columns: a kernel has some six million. Addresses are signed ones that a
 * double holds exactly (see `signedAddress`); a row at any other is left out.
 */
export class LineTable {
  private readonly sequences: readonly Sequence[];

  constructor(
    readonly header: LineHeader,
    private readonly rows: Rows,
  ) {
    this.sequences = sequencesOf(rows);
  }

  /** How many rows there are. */
  get count(): number {
    return this.rows.count;
  }

  row(index: number): LineRow {
    const { addresses, files, lines, columns, flags } = this.rows;
    return {
      address: BigInt.asUintN(64, BigInt(addresses[index])),
      file: files[index],
      line: lines[index],
      column: columns[index],
      flags: flags[index],
    };
  }

  lineOf(index: number): number {
    return this.rows.lines[index];
  }

  fileOf(index: number): number {
    return this.rows.files[index];
  }

  isStatement(index: number): boolean {
    return (this.rows.flags[index] & ROW_IS_STATEMENT) !== 0;
  }

  /** The row that holds for an address: the last one at or before it in its sequence. */
  find(address: bigint): LineRow | undefined {
    const place = this.placeOf(address);
    return place === undefined ? undefined : this.row(place.index);
  }

  /**
   * The row that a debugger takes for an address, by its index: where several are at one address, the last that
   * begins a statement.
   */
  findTelling(address: bigint): number | undefined {
    const place = this.placeOf(address);
    return place === undefined ? undefined : this.telling(place.first, place.index);
  }

  /** Indexes of the rows that hold for addresses, one for each address that has any; in address order. */
  *indexes(): Generator<number> {
    const { addresses } = this.rows;
    for (const { first, last } of this.sequences) {
      for (let index = first; index < last; index++) {
        if (addresses[index] !== addresses[index + 1]) yield this.telling(first, index);
      }
    }
  }

  private placeOf(address: bigint): { first: number; index: number } | undefined {
    const { addresses } = this.rows;
    const wanted = signedAddress(address);
    if (!Number.isSafeInteger(wanted)) return undefined;
    const { sequences } = this;
    const sequence =
      sequences[lastAtOrBefore(sequences.length, (i) => addresses[sequences[i].first] <= wanted)];
    if (sequence === undefined || wanted >= addresses[sequence.last]) return undefined;
    const { first, last } = sequence;
    const row = lastAtOrBefore(last - first, (i) => addresses[first + i] <= wanted);
    return { first, index: first + row };
  }

  /** The first address behind a row that holds for addresses. */
  endOf(index: number): bigint {
    const { addresses, count } = this.rows;
    let next = index + 1;
    while (next < count - 1 && addresses[next] === addresses[index]) next++;
    return BigInt.asUintN(64, BigInt(addresses[next]));
  }

  /** Of the rows at the address of the last of them: the last that begins a statement, else the last. */
  private telling(first: number, last: number): number {
    const { addresses } = this.rows;
    for (let index = last; index >= first && addresses[index] === addresses[last]; index--) {
      if (this.isStatement(index)) return index;
    }
    return last;
  }

  /** The path of a row's file; undefined where the header has no such file. */
  path(row: Pick<LineRow, "file">): string | undefined {
    return pathOf(this.header, row.file);
  }
}

/** Reads the header at an offset of .debug_line and runs the program behind it. @throws DwarfError */
export function readLineTable(sections: DwarfSections, offset: number, context: LineContext): LineTable {
  const header = readLineHeader(sections, offset, context);
  return new LineTable(header, new LineProgram(header).run());
}

/** Index of the last of `count` for which a condition that is first true, then false, holds; -1 for none. */
function lastAtOrBefore(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A sequence whose addresses go backwards, which the standard forbids, is cut there. */
function sequencesOf({ addresses, flags, count }: Rows): Sequence[] {
  const sequences: Sequence[] = [];
  for (let first = 0, i = 0; i < count; i++) {
    const backwards = i > first && addresses[i] < addresses[i - 1];
    if (!backwards && (flags[i] & ROW_END_SEQUENCE) === 0) continue;
    const last = backwards ? i - 1 : i;
    if (addresses[first] < addresses[last]) sequences.push({ first, last });
    first = backwards ? i : i + 1;
  }
  return sequences.sort((a, b) => addresses[a.first] - addresses[b.first] || a.first - b.first);
}

/** Growing columns. */
class Rows {
  addresses = new Float64Array(64);
  files = new Uint32Array(64);
  lines = new Uint32Array(64);
  columns = new Uint32Array(64);
  flags = new Uint8Array(64);
  count = 0;

  add(address: number, file: number, line: number, column: number, flags: number): void {
    if (this.count === this.addresses.length) this.resize(2 * this.count);
    const index = this.count++;
    this.addresses[index] = address;
    this.files[index] = file;
    this.lines[index] = line;
    this.columns[index] = column;
    this.flags[index] = flags;
  }

  /** Gives back what is not used. */
  trimmed(): Rows {
    this.resize(this.count);
    return this;
  }

  private resize(size: number): void {
    const { addresses, files, lines, columns, flags, count } = this;
    const moved = <T extends Float64Array | Uint32Array | Uint8Array>(made: T, from: T): T => {
      made.set(from.subarray(0, count));
      return made;
    };
    this.addresses = moved(new Float64Array(size), addresses);
    this.files = moved(new Uint32Array(size), files);
    this.lines = moved(new Uint32Array(size), lines);
    this.columns = moved(new Uint32Array(size), columns);
    this.flags = moved(new Uint8Array(size), flags);
  }
}

/** The state machine (6.2.2) and its opcodes (6.2.5). Each opcode takes a byte at least and adds one row at most. */
class LineProgram {
  private readonly rows = new Rows();
  private readonly reader: DwarfReader;
  /** Signed. */
  private address = 0;
  private operation = 0;
  private file = 1;
  private line = 1;
  private column = 0;
  private isStatement = false;
  private prologueEnd = false;

  constructor(private readonly header: LineHeader) {
    this.reader = header.program;
    this.reset();
  }

  run(): Rows {
    const { reader, header } = this;
    while (reader.remaining > 0) {
      const opcode = reader.u8();
      if (opcode >= header.opcodeBase) this.special(opcode);
      else if (opcode === 0) this.extended();
      else this.standard(opcode);
    }
    return this.rows.trimmed();
  }

  private reset(): void {
    this.address = 0;
    this.operation = 0;
    this.file = 1;
    this.line = 1;
    this.column = 0;
    this.isStatement = this.header.defaultIsStatement;
    this.prologueEnd = false;
  }

  private emit(flags: number): void {
    const { address, file, line, column } = this;
    const statement = this.isStatement ? ROW_IS_STATEMENT : 0;
    const ends = this.prologueEnd ? ROW_PROLOGUE_END : 0;
    this.prologueEnd = false;
    if (Number.isSafeInteger(address)) this.rows.add(address, file, line, column, flags | statement | ends);
  }

  private advance(operations: number): void {
    const { minimumInstructionLength, maximumOperations } = this.header;
    if (maximumOperations === 1) {
      this.address += minimumInstructionLength * operations;
      return;
    }
    const total = this.operation + operations;
    this.operation = total % maximumOperations;
    this.address += minimumInstructionLength * Math.floor(total / maximumOperations);
  }

  private advanceLine(lines: number): void {
    this.line = (this.line + lines) >>> 0;
  }

  private special(opcode: number): void {
    const { opcodeBase, lineBase } = this.header;
    this.advance(this.specialAdvance(opcode));
    this.advanceLine(lineBase + ((opcode - opcodeBase) % this.header.lineRange));
    this.emit(0);
  }

  private specialAdvance(opcode: number): number {
    const { opcodeBase, lineRange } = this.header;
    if (lineRange === 0) throw this.reader.error("a special opcode, but the header has a line range of 0");
    return Math.floor((opcode - opcodeBase) / lineRange);
  }

  private standard(opcode: number): void {
    const { reader } = this;
    switch (opcode) {
      case DW_LNS.copy:
        this.emit(0);
        break;
      case DW_LNS.advance_pc:
        this.advance(reader.uleb());
        break;
      case DW_LNS.advance_line:
        this.advanceLine(reader.sleb());
        break;
      case DW_LNS.set_file:
        this.file = reader.uleb();
        break;
      case DW_LNS.set_column:
        this.column = reader.uleb();
        break;
      case DW_LNS.negate_stmt:
        this.isStatement = !this.isStatement;
        break;
      case DW_LNS.const_add_pc:
        this.advance(this.specialAdvance(255));
        break;
      case DW_LNS.fixed_advance_pc:
        this.address += reader.u16();
        this.operation = 0;
        break;
      case DW_LNS.set_prologue_end:
        this.prologueEnd = true;
        break;
      default:
        // set_basic_block, set_epilogue_begin and set_isa change nothing that is kept; unknown ones tell their operands.
        for (let left = this.header.operandCounts[opcode]; left > 0; left--) reader.uleb64();
    }
  }

  private extended(): void {
    const operands = this.reader.sub(this.reader.uleb());
    if (operands.remaining === 0) throw operands.error("an extended opcode of no length");
    switch (operands.u8()) {
      case DW_LNE.end_sequence:
        this.emit(ROW_END_SEQUENCE);
        this.reset();
        break;
      case DW_LNE.set_address:
        this.address = signedAddress(operands.address(operands.remaining));
        this.operation = 0;
        break;
      case DW_LNE.define_file:
        this.header.files.push(readFile4(operands));
        break;
      default: // discriminators and vendors' opcodes; their length has been stepped over
    }
  }
}
