/**
 * Source lines of addresses, read lazily: the first question reads the top entry of every unit (not the entries
 * below it), a question about an address reads the line number program of the one unit that holds it.
 */
import { IntervalMap, signedAddress } from "../intervals";
import { Budget } from "./budget";
import { DW_AT } from "./constants";
import { type LineTable, readLineTable } from "./line";
import { joinPath } from "./lineHeader";
import { DwarfError } from "./reader";
import type { AddressRange } from "./rnglists";
import type { DwarfSections } from "./sections";
import { type Unit, type UnitHeader, UnitReader, unitHeaders } from "./unit";

/** A place in a source file. */
export interface SourceLine {
  /** The path that the debugging information gives: absolute, unless the build made it relative. */
  file: string;
  /** From 1 on. */
  line: number;
  /** The directory of the compilation. */
  directory: string;
}

/** Steps for the top entries and range lists of one file: a distribution's kernel takes some 500,000. */
const STEPS = 20_000_000;

export class DwarfLines {
  /** What could not be read, by the first thing wrong with it. The rest works without it. */
  readonly problems: DwarfError[] = [];
  private index: UnitIndex | undefined;
  private readonly tables = new Map<number, LineTable | undefined>();

  /** @param steps the work that reading all units may take, see `Budget` */
  constructor(
    private readonly sections: DwarfSections,
    private readonly steps = STEPS,
  ) {}

  /** The source line of a linear address as linked; undefined where there is none. Throws nothing: see `problems`. */
  lineOf(address: bigint): SourceLine | undefined {
    this.index ??= new UnitIndex(this.guarded(() => this.readUnits()) ?? []);
    const unit = this.index.find(address);
    return unit === undefined ? undefined : this.guarded(() => this.lineIn(unit, address));
  }

  private lineIn(unit: Unit, address: bigint): SourceLine | undefined {
    const table = this.tableOf(unit);
    const row = table?.find(address);
    if (table === undefined || row === undefined || row.line === 0) return undefined;
    const path = table.path(row);
    const directory = unit.text(DW_AT.comp_dir) ?? "";
    return path === undefined ? undefined : { file: joinPath(directory, path), line: row.line, directory };
  }

  private tableOf(unit: Unit): LineTable | undefined {
    const offset = unit.lineOffset;
    if (offset === undefined) return undefined;
    if (!this.tables.has(offset)) {
      const context = {
        addressSize: unit.header.encoding.addressSize,
        directory: unit.text(DW_AT.comp_dir) ?? "",
      };
      this.tables.set(
        offset,
        this.guarded(() => readLineTable(this.sections, offset, context)),
      );
    }
    return this.tables.get(offset);
  }

  /** A unit that cannot be read is left out; a header that cannot be read ends the list. */
  private readUnits(): Unit[] {
    const reader = new UnitReader(this.sections, new Budget(this.steps));
    const headers: UnitHeader[] = [];
    this.guarded(() => {
      for (const header of unitHeaders(this.sections)) headers.push(header);
    });
    return headers
      .map((header) => this.guarded(() => reader.read(header)))
      .filter((unit) => unit !== undefined);
  }

  private guarded<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DwarfError)) throw error;
      if (this.problems.length < MOST_PROBLEMS) this.problems.push(error);
      return undefined;
    }
  }
}

const MOST_PROBLEMS = 100;

/** Units by the addresses of their code. */
class UnitIndex {
  private readonly owners: Unit[] = [];
  private readonly intervals: IntervalMap;

  constructor(units: readonly Unit[]) {
    const ranges: AddressRange[] = [];
    for (const unit of units) {
      for (const range of unit.ranges) {
        ranges.push(range);
        this.owners.push(unit);
      }
    }
    const starts = Float64Array.from(ranges, ({ start }) => signedAddress(start));
    const ends = Float64Array.from(ranges, ({ start, end }) => signedAddress(start) + Number(end - start));
    const order = Uint32Array.from(ranges.keys()).sort((a, b) => starts[a] - starts[b] || a - b);
    this.intervals = IntervalMap.build(starts, ends, order);
  }

  find(address: bigint): Unit | undefined {
    return this.owners[this.intervals.find(address)];
  }
}
