/** All units of a file: by the addresses of their code, by offset, and the line tables that they share. */
import { IntervalMap, signedAddress } from "../intervals";
import { Budget } from "./budget";
import { DW_AT } from "./constants";
import { type LineTable, readLineTable } from "./line";
import { type LineContext, type LineHeader, readLineHeader } from "./lineHeader";
import { DwarfError } from "./reader";
import type { AddressRange } from "./rnglists";
import type { DwarfSections } from "./sections";
import { type Unit, type UnitHeader, UnitReader, unitHeaders } from "./unit";

/** Steps for the top entries and range lists of one file: a distribution's kernel takes some 500,000. */
const STEPS = 20_000_000;
const MOST_PROBLEMS = 100;

export class Units {
  /** What could not be read, by the first thing wrong with it. The rest works without it. */
  readonly problems: DwarfError[] = [];
  private read: readonly Unit[] | undefined;
  private index: UnitIndex | undefined;
  private readonly tables = new Map<number, LineTable | undefined>();

  /** @param steps the work that reading all units may take, see `Budget` */
  constructor(
    readonly sections: DwarfSections,
    private readonly steps = STEPS,
  ) {}

  /** Every unit that can be read, in file order. */
  get all(): readonly Unit[] {
    this.read ??= this.guarded(() => this.readUnits()) ?? [];
    return this.read;
  }

  /** The unit whose code holds a linear address as linked. */
  at(address: bigint): Unit | undefined {
    this.index ??= new UnitIndex(this.all);
    return this.index.find(address);
  }

  /** The unit that holds an offset of .debug_info. */
  holding(offset: number): Unit | undefined {
    const { all } = this;
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (all[middle].header.offset <= offset) low = middle + 1;
      else high = middle;
    }
    const unit = all[low - 1];
    return unit !== undefined && offset < unit.header.end ? unit : undefined;
  }

  /** The header of a unit's line table, without the table: which files it names. */
  lineHeader(unit: Unit): LineHeader | undefined {
    const offset = unit.lineOffset;
    if (offset === undefined) return undefined;
    const table = this.tables.get(offset);
    if (table !== undefined) return table.header;
    return this.guarded(() => readLineHeader(this.sections, offset, this.lineContext(unit)));
  }

  /**
   * The line table of a unit; undefined where it has none that can be read.
   * @param keep whether it will be asked for again
   */
  lineTable(unit: Unit, keep = true): LineTable | undefined {
    const offset = unit.lineOffset;
    if (offset === undefined) return undefined;
    if (this.tables.has(offset)) return this.tables.get(offset);
    const table = this.guarded(() => readLineTable(this.sections, offset, this.lineContext(unit)));
    if (keep || table === undefined) this.tables.set(offset, table);
    return table;
  }

  /** The path of a file, absolute where the build made it so, by its number in a unit's line table. */
  fileOf(unit: Unit, file: number): string | undefined {
    return this.lineTable(unit)?.path({ file });
  }

  private lineContext(unit: Unit): LineContext {
    return { addressSize: unit.header.encoding.addressSize, directory: this.directoryOf(unit) };
  }

  /** The directory of a unit's compilation. */
  directoryOf(unit: Unit): string {
    return this.guarded(() => unit.text(DW_AT.comp_dir)) ?? "";
  }

  /** Runs something that reads; malformed information becomes a problem. */
  guarded<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DwarfError)) throw error;
      if (this.problems.length < MOST_PROBLEMS) this.problems.push(error);
      return undefined;
    }
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
}

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
