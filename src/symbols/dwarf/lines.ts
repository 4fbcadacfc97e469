/**
 * Source lines and addresses, in both directions, read lazily: a question about an address reads the line number
 * program of the one unit that holds it; a question about a file those of the units that name it.
 */
import type { LineInfo, LineRow } from "../debugInfo";
import { type LineTable, ROW_IS_STATEMENT, ROW_PROLOGUE_END } from "./line";
import { Paths } from "./lineHeader";
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

/** What all line tables together say of a file. */
interface FileRows {
  /** By line, in address order. */
  readonly rows: ReadonlyMap<number, readonly LineRow[]>;
  /** Lines with statements, rising. */
  readonly lines: readonly number[];
}

const NO_ROWS: FileRows = { rows: new Map(), lines: [] };
const MOST_FILES = 16;

export class DwarfLines implements LineInfo {
  private readonly units: Units;
  /** Units by the files that their line tables name: from the headers, since a kernel's tables have millions of rows. */
  private byFile: Map<string, Unit[]> | undefined;
  /** Of the files that were asked for last. */
  private readonly rowsByFile = new Map<string, FileRows>();
  private readonly paths = new Paths();

  constructor(source: DwarfSections | Units, steps?: number) {
    this.units = source instanceof Units ? source : new Units(source, steps);
  }

  get problems(): readonly DwarfError[] {
    return this.units.problems;
  }

  /** The source line of a linear address as linked; undefined where there is none. Throws nothing: see `problems`. */
  lineOf(address: bigint): SourceLine | undefined {
    const unit = this.units.at(address);
    const table = unit && this.units.lineTable(unit);
    const row = table?.find(address);
    if (unit === undefined || table === undefined || row === undefined || row.line === 0) return undefined;
    const file = this.pathOf(table, row.file);
    if (file === undefined) return undefined;
    return { file, line: row.line, directory: this.units.directoryOf(unit) };
  }

  rowOf(address: bigint): LineRow | undefined {
    const unit = this.units.at(address);
    const table = unit && this.units.lineTable(unit);
    const found = table?.findTelling(address);
    if (table === undefined || found === undefined) return undefined;
    const path = this.pathOf(table, table.fileOf(found));
    return path === undefined ? undefined : rowOf(path, table, found);
  }

  rowsOf(file: string, line: number): readonly LineRow[] {
    return this.inFile(file).rows.get(line) ?? [];
  }

  linesOf(file: string): readonly number[] {
    return this.inFile(file).lines;
  }

  files(): readonly string[] {
    return [...this.index().keys()].sort();
  }

  /** What the line tables say of a file. Tables that are run for it alone are not kept: a header's are hundreds. */
  private inFile(file: string): FileRows {
    const path = this.knownName(file);
    if (path === undefined) return NO_ROWS;
    let found = this.rowsByFile.get(path);
    if (found === undefined) {
      found = this.readFile(path);
      if (this.rowsByFile.size === MOST_FILES) this.rowsByFile.delete(firstKey(this.rowsByFile));
      this.rowsByFile.set(path, found);
    }
    return found;
  }

  private readFile(path: string): FileRows {
    const rows = new Map<number, LineRow[]>();
    const lines = new Set<number>();
    for (const unit of this.index().get(path) ?? []) {
      const table = this.units.lineTable(unit, false);
      if (table === undefined) continue;
      const numbers = new Set(
        table.header.files.flatMap((_, number) => (this.pathOf(table, number) === path ? [number] : [])),
      );
      for (const index of table.indexes()) {
        const line = table.lineOf(index);
        if (line === 0 || !numbers.has(table.fileOf(index))) continue;
        if (table.isStatement(index)) lines.add(line);
        const row = rowOf(path, table, index);
        const others = rows.get(line);
        if (others === undefined) rows.set(line, [row]);
        else others.push(row);
      }
    }
    for (const each of rows.values()) {
      each.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    }
    return { rows, lines: [...lines].sort((a, b) => a - b) };
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
      if (header === undefined) continue;
      for (let number = 0; number < header.files.length; number++) {
        const file = this.paths.pathOf(header, number);
        if (file === undefined) continue;
        const units = byFile.get(file);
        if (units === undefined) byFile.set(file, [unit]);
        else if (units[units.length - 1] !== unit) units.push(unit);
      }
    }
    this.byFile = byFile;
    return byFile;
  }

  private pathOf(table: LineTable, file: number): string | undefined {
    return this.paths.pathOf(table.header, file);
  }
}

function rowOf(path: string, table: LineTable, index: number): LineRow {
  const { address, line, column, flags } = table.row(index);
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

function firstKey<K>(map: ReadonlyMap<K, unknown>): K {
  const [key] = map.keys();
  return key;
}
