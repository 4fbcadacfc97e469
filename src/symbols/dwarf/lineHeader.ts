/**
 * The header of a line number program (DWARF 5, 6.2.4; DWARF 4, 6.2.4): how its opcodes are encoded, and the
 * directories and files that they name.
 */
import { DW_FORM, DW_LNCT } from "./constants";
import { type Encoding, readForm } from "./form";
import { DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";
import { stringOf } from "./str";

/** A file as the header names it. */
export interface LineFile {
  readonly name: string;
  /** Index into the header's directories. */
  readonly directory: number;
}

export interface LineHeader {
  readonly encoding: Encoding;
  readonly minimumInstructionLength: number;
  readonly maximumOperations: number;
  readonly defaultIsStatement: boolean;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  /** Operands of the standard opcode at the index; 0 is not used. */
  readonly operandCounts: Uint8Array;
  /** Directory 0 is that of the compilation, in every version. */
  readonly directories: readonly string[];
  /** By the number that the program uses: in versions before 5 nothing stands at 0. */
  readonly files: (LineFile | undefined)[];
  /** The opcodes. */
  readonly program: DwarfReader;
}

/** What the unit tells about its line numbers; versions before 5 need it. */
export interface LineContext {
  readonly addressSize: number;
  readonly directory: string;
}

/** Reads the header at an offset of .debug_line. @throws DwarfError */
export function readLineHeader(sections: DwarfSections, offset: number, context: LineContext): LineHeader {
  const reader = new DwarfReader(sections.line, offset);
  const { length, offsetSize } = reader.initialLength();
  const body = reader.sub(length);
  const version = body.u16();
  if (version < 2 || version > 5)
    throw reader.error(`line number program version ${version} is not known`, offset);
  const addressSize = version >= 5 ? body.u8() : context.addressSize;
  if (version >= 5) body.skip(1);
  const encoding: Encoding = { version, offsetSize, addressSize };
  const tables = body.sub(body.offset(offsetSize));
  const minimumInstructionLength = tables.u8();
  const maximumOperations = version >= 4 ? tables.u8() : 1;
  const defaultIsStatement = tables.u8() !== 0;
  const lineBase = tables.s8();
  const lineRange = tables.u8();
  const opcodeBase = tables.u8();
  if (opcodeBase === 0 || maximumOperations === 0) {
    throw reader.error("the header of the line number program has a zero where none can be", offset);
  }
  const operandCounts = new Uint8Array(opcodeBase);
  operandCounts.set(tables.bytes(opcodeBase - 1), 1);
  const names = version >= 5 ? readNames5(sections, tables, encoding) : readNames4(tables, context.directory);
  return {
    encoding,
    minimumInstructionLength,
    maximumOperations,
    defaultIsStatement,
    lineBase,
    lineRange,
    opcodeBase,
    operandCounts,
    ...names,
    program: body,
  };
}

/** A file as versions before 5 and DW_LNE_define_file write it; an empty name ends a table. */
export function readFile4(reader: DwarfReader): LineFile | undefined {
  const name = reader.string();
  if (name === "") return undefined;
  const directory = reader.uleb();
  reader.uleb64(); // time of modification
  reader.uleb64(); // length in bytes
  return { name, directory };
}

function readNames4(reader: DwarfReader, directory: string): Pick<LineHeader, "directories" | "files"> {
  const directories = [directory];
  for (let name = reader.string(); name !== ""; name = reader.string()) directories.push(name);
  const files: (LineFile | undefined)[] = [undefined];
  for (let file = readFile4(reader); file !== undefined; file = readFile4(reader)) files.push(file);
  return { directories, files };
}

function readNames5(
  sections: DwarfSections,
  reader: DwarfReader,
  encoding: Encoding,
): Pick<LineHeader, "directories" | "files"> {
  const directories = readEntries(sections, reader, encoding).map((entry) => entry.name);
  return { directories, files: readEntries(sections, reader, encoding) };
}

/** Directory and file tables of version 5 have one form: a description of the fields, then the entries (6.2.4.1). */
function readEntries(sections: DwarfSections, reader: DwarfReader, encoding: Encoding): LineFile[] {
  const formats: { content: number; form: number }[] = [];
  for (let left = reader.u8(); left > 0; left--)
    formats.push({ content: reader.uleb(), form: reader.uleb() });
  const at = reader.position;
  const count = reader.uleb();
  const least = formats.filter(
    ({ form }) => form !== DW_FORM.flag_present && form !== DW_FORM.implicit_const,
  );
  if (count * least.length > reader.remaining || (count > 0 && least.length === 0)) {
    throw reader.error(`${count} entries do not fit into the header`, at);
  }
  const entries: LineFile[] = [];
  for (let i = 0; i < count; i++) entries.push(readEntry(sections, reader, encoding, formats));
  return entries;
}

function readEntry(
  sections: DwarfSections,
  reader: DwarfReader,
  encoding: Encoding,
  formats: readonly { content: number; form: number }[],
): LineFile {
  let name = "";
  let directory = 0;
  for (const { content, form } of formats) {
    if (content === DW_LNCT.path && form === DW_FORM.line_strp) {
      name = nameAt(sections, reader.offset(encoding.offsetSize));
    } else if (content === DW_LNCT.directory_index && form === DW_FORM.udata) {
      directory = reader.uleb();
    } else {
      const value = readForm(reader, form, encoding);
      if (content === DW_LNCT.path)
        name = stringOf(sections, value, encoding, STR_OFFSETS_BASE[encoding.offsetSize]) ?? "";
      else if (content === DW_LNCT.directory_index)
        directory = value.class === "constant" ? Number(value.value) : 0;
    }
  }
  return { name, directory };
}

/** Behind the header of .debug_str_offsets (7.26). */
const STR_OFFSETS_BASE = { 4: 8, 8: 16 } as const;

/** The names of .debug_line_str that were read: all units of a kernel name the same few thousand. */
const LINE_NAMES = new WeakMap<DwarfSections, Map<number, string>>();

function nameAt(sections: DwarfSections, offset: number): string {
  let names = LINE_NAMES.get(sections);
  if (names === undefined) {
    names = new Map();
    LINE_NAMES.set(sections, names);
  }
  let name = names.get(offset);
  if (name === undefined) {
    name = new DwarfReader(sections.lineStr, offset).string();
    names.set(offset, name);
  }
  return name;
}

/** Paths of files; what many headers name alike is put together once. */
export class Paths {
  private readonly known = new Map<string, Map<string, Map<string, string>>>();

  /** As `pathOf`. */
  pathOf(header: LineHeader, file: number): string | undefined {
    const entry = header.files[file];
    if (entry === undefined || entry.name === "") return undefined;
    const byDirectory = inner(this.known, header.directories[0] ?? "");
    const byName = inner(byDirectory, header.directories[entry.directory] ?? "");
    let path = byName.get(entry.name);
    if (path === undefined) {
      path = pathOf(header, file) ?? "";
      byName.set(entry.name, path);
    }
    return path;
  }
}

function inner<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let found = map.get(key);
  if (found === undefined) {
    found = new Map();
    map.set(key, found);
  }
  return found;
}

/** The path of a file: absolute where the header tells enough, with "." and ".." resolved. */
export function pathOf(header: LineHeader, file: number): string | undefined {
  const entry = header.files[file];
  if (entry === undefined || entry.name === "") return undefined;
  const directory = header.directories[entry.directory] ?? "";
  const top = entry.directory === 0 ? "" : (header.directories[0] ?? "");
  return joinPath(joinPath(top, directory), entry.name);
}

/** `name` seen from `directory`; POSIX paths, as ELF toolchains write them. */
export function joinPath(directory: string, name: string): string {
  const path = name.startsWith("/") || directory === "" ? name : `${directory}/${name}`;
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (part !== ".." || !path.startsWith("/")) parts.push(part);
  }
  return (path.startsWith("/") ? "/" : "") + parts.join("/");
}
