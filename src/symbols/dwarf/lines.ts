/**
 * Source lines and addresses, in both directions, read lazily: a question about an address reads the line number
 * program of the one unit that holds it; a question about a file those of the units that name it.
 */
import type { LineInfo, LineRow } from "../debugInfo";
import { type LineTable, type LineRow as MatrixRow, ROW_IS_STATEMENT, ROW_PROLOGUE_END } from "./line";
import { pathOf } from "./lineHeader";
import type { DwarfError } from "./reader";
import type { DwarfSections } from "./sections";
import type { Unit } from "./unit";
import { Units } from "./units";

/** A place in a source file. */
export interface SourceLine {
  /** Absolute, without `.` and `..`, unless the build made it relative. */
  file: string;
  /** From 1 on. */
  line: number;
  /** The directory of the compilation. */
  directory: string;
}

export class DwarfLines implements LineInfo {
  private readonly units: Units;
  /** Units by the files that their line tables name: from the headers, since a kernel's tables have millions of rows. */
  private byFile: Map<string, Unit[]> | undefined;

  constructor(source: DwarfSections | Units, steps?: number) {
    this.units = source instanceof Units ? source : new Units(source, steps);
  }

  get problems(): readonly DwarfError[] {
    return this.units.problems;
  }

  /** The source line of a linear address as linked; undefined where there is none. Throws nothing: see `problems`. */
  lineOf(address: bigint): SourceLine | undefined {
    const unit = this.units.at(address);
    const row = unit && this.units.lineTable(unit)?.find(address);
    if (unit === undefined || row === undefined || row.line === 0) return undefined;
    const file = this.fileOf(unit, row.file);
    if (file === undefined) return undefined;
    return { file, line: row.line, directory: this.units.directoryOf(unit) };
  }

  rowOf(address: bigint): LineRow | undefined {
    const unit = this.units.at(address);
    const table = unit && this.units.lineTable(unit);
    const found = table?.findTelling(address);
    if (unit === undefined || table === undefined || found === undefined) return undefined;
    return this.row(unit, table, found);
  }

  rowsOf(file: string, line: number): readonly LineRow[] {
    return this.inFile(file, (row) => row.line === line)
      .map(({ unit, table, index }) => this.row(unit, table, index))
      .filter((row) => row !== undefined)
      .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  }

  linesOf(file: string): readonly number[] {
    const lines = new Set<number>();
    for (const { table, index } of this.inFile(file, (row) => (row.flags & ROW_IS_STATEMENT) !== 0)) {
      lines.add(table.rows[index].line);
    }
    lines.delete(0);
    return [...lines].sort((a, b) => a - b);
  }

  files(): readonly string[] {
    return [...this.index().keys()].sort();
  }

  /** The rows of a file that are wanted; those of no length are left out. */
  private inFile(file: string, wanted: (row: MatrixRow) => boolean) {
    const found: { unit: Unit; table: LineTable; index: number }[] = [];
    const path = this.knownName(file);
    for (const unit of path === undefined ? [] : (this.index().get(path) ?? [])) {
      const table = this.units.lineTable(unit);
      if (table === undefined) continue;
      const numbers = new Set(
        table.header.files.flatMap((_, number) => (this.fileOf(unit, number) === path ? [number] : [])),
      );
      for (const index of table.indexes()) {
        const row = table.rows[index];
        if (numbers.has(row.file) && wanted(row)) found.push({ unit, table, index });
      }
    }
    return found;
  }

  /** A file by its whole path; else the only one that ends in the given parts of a path. */
  private knownName(file: string): string | undefined {
    const index = this.index();
    if (index.has(file)) return file;
    if (file.startsWith("/")) return undefined;
    const ends = [...index.keys()].filter((known) => known.endsWith(`/${file}`));
    return ends.length === 1 ? ends[0] : undefined;
  }

  private index(): Map<string, Unit[]> {
    if (this.byFile !== undefined) return this.byFile;
    const byFile = new Map<string, Unit[]>();
    for (const unit of this.units.all) {
      const header = this.units.lineHeader(unit);
      for (const number of header?.files.keys() ?? []) {
        const file = header === undefined ? undefined : pathOf(header, number);
        if (file === undefined) continue;
        const units = byFile.get(file);
        if (units === undefined) byFile.set(file, [unit]);
        else if (units.at(-1) !== unit) units.push(unit);
      }
    }
    this.byFile = byFile;
    return byFile;
  }

  private row(unit: Unit, table: LineTable, index: number): LineRow | undefined {
    const { address, file, line, column, flags } = table.rows[index];
    const path = this.fileOf(unit, file);
    if (path === undefined) return undefined;
    return {
      address,
      file: path,
      line,
      column,
      statement: (flags & ROW_IS_STATEMENT) !== 0,
      prologueEnd: (flags & ROW_PROLOGUE_END) !== 0,
      end: table.endOf(index),
    };
  }

  private readonly paths = new Map<Unit, Map<number, string | undefined>>();

  private fileOf(unit: Unit, file: number): string | undefined {
    let paths = this.paths.get(unit);
    if (paths === undefined) {
      paths = new Map();
      this.paths.set(unit, paths);
    }
    if (!paths.has(file)) {
      const table = this.units.lineTable(unit);
      paths.set(file, table === undefined ? undefined : pathOf(table.header, file));
    }
    return paths.get(file);
  }
}
