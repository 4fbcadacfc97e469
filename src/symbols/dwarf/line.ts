/**
 * The line number program (DWARF 5, 6.2): runs it once and keeps its matrix of rows, to find the source line of an
 * address and the addresses of a line.
 */
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

/** A run of rows with rising addresses; the row at `last` ends it. */
interface Sequence {
  readonly start: bigint;
  readonly end: bigint;
  readonly first: number;
  readonly last: number;
}

/** The rows of one line number program. */
export class LineTable {
  private readonly sequences: readonly Sequence[];

  constructor(
    readonly header: LineHeader,
    readonly rows: readonly LineRow[],
  ) {
    this.sequences = sequencesOf(rows);
  }

  /** The row that holds for an address: the last one at or before it in its sequence. */
  find(address: bigint): LineRow | undefined {
    const place = this.placeOf(address);
    return place === undefined ? undefined : this.rows[place.index];
  }

  /**
   * The row that a debugger takes for an address, as an index into `rows`: where several are at one address, the last
   * that begins a statement.
   */
  findTelling(address: bigint): number | undefined {
    const place = this.placeOf(address);
    return place === undefined ? undefined : this.telling(place.first, place.index);
  }

  /** Indexes of the rows that hold for addresses, one for each address that has any; in address order. */
  *indexes(): Generator<number> {
    for (const { first, last } of this.sequences) {
      for (let index = first; index < last; index++) {
        if (this.rows[index].address !== this.rows[index + 1].address) yield this.telling(first, index);
      }
    }
  }

  private placeOf(address: bigint): { first: number; index: number } | undefined {
    const sequence =
      this.sequences[lastAtOrBefore(this.sequences.length, (i) => this.sequences[i].start <= address)];
    if (sequence === undefined || address >= sequence.end) return undefined;
    const count = sequence.last - sequence.first;
    const row = lastAtOrBefore(count, (i) => this.rows[sequence.first + i].address <= address);
    return { first: sequence.first, index: sequence.first + row };
  }

  /** The first address behind a row that holds for addresses. */
  endOf(index: number): bigint {
    const { rows } = this;
    let next = index + 1;
    while (next < rows.length - 1 && rows[next].address === rows[index].address) next++;
    return rows[next].address;
  }

  /** Of the rows at the address of the last of them: the last that begins a statement, else the last. */
  private telling(first: number, last: number): number {
    const { rows } = this;
    for (let index = last; index >= first && rows[index].address === rows[last].address; index--) {
      if ((rows[index].flags & ROW_IS_STATEMENT) !== 0) return index;
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
function sequencesOf(rows: readonly LineRow[]): Sequence[] {
  const sequences: Sequence[] = [];
  for (let first = 0, i = 0; i < rows.length; i++) {
    const row = rows[i];
    const backwards = i > first && row.address < rows[i - 1].address;
    if (!backwards && (row.flags & ROW_END_SEQUENCE) === 0) continue;
    const last = backwards ? i - 1 : i;
    const start = rows[first].address;
    if (start < rows[last].address) sequences.push({ start, end: rows[last].address, first, last });
    first = backwards ? i : i + 1;
  }
  return sequences.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.first - b.first));
}

/** The state machine (6.2.2) and its opcodes (6.2.5). Each opcode takes a byte at least and adds one row at most. */
class LineProgram {
  private readonly rows: LineRow[] = [];
  private readonly reader: DwarfReader;
  private address = 0n;
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

  run(): LineRow[] {
    const { reader, header } = this;
    while (reader.remaining > 0) {
      const opcode = reader.u8();
      if (opcode >= header.opcodeBase) this.special(opcode);
      else if (opcode === 0) this.extended();
      else this.standard(opcode);
    }
    return this.rows;
  }

  private reset(): void {
    this.address = 0n;
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
    this.rows.push({
      address,
      file,
      line,
      column,
      flags: flags | statement | (this.prologueEnd ? ROW_PROLOGUE_END : 0),
    });
    this.prologueEnd = false;
  }

  private advance(operations: number): void {
    const { minimumInstructionLength, maximumOperations } = this.header;
    const total = this.operation + operations;
    const instructions = Math.floor(total / maximumOperations);
    this.operation = total % maximumOperations;
    this.address = BigInt.asUintN(64, this.address + BigInt(minimumInstructionLength) * BigInt(instructions));
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
        this.address = BigInt.asUintN(64, this.address + BigInt(reader.u16()));
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
        this.address = operands.address(operands.remaining);
        this.operation = 0;
        break;
      case DW_LNE.define_file:
        this.header.files.push(readFile4(operands));
        break;
      default: // discriminators and vendors' opcodes; their length has been stepped over
    }
  }
}
