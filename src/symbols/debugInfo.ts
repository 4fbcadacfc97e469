/**
 * What a debugger asks of an image's debugging information, beside the names and lines of `Symbols`: functions with
 * the inlined ones, variables and where they are, types by name, and how to unwind a frame. All addresses are linear
 * ones as linked (64 bit, zero-extended), unless said otherwise.
 */
import type { CType } from "./types";

/** A function, or one inlined into another, whose code holds an address (DW_TAG_subprogram, _inlined_subroutine). */
export interface FunctionScope {
  readonly name: string;
  /** The lowest address of its code. */
  readonly low: bigint;
  /** Its code; end exclusive. More than one where the compiler split it. */
  readonly ranges: readonly { start: bigint; end: bigint }[];
  readonly inlined: boolean;
  /** For inlined ones: where the function around it calls it. */
  readonly call?: { readonly file: string; readonly line: number; readonly column: number };
  /** Where it is declared. */
  readonly declared?: { readonly file: string; readonly line: number };
  readonly result: CType | undefined;
}

export type VariableKind = "parameter" | "local" | "global" | "static";

/** A variable that is in scope, or global. */
export interface VariableInfo {
  readonly name: string;
  readonly kind: VariableKind;
  /** Undefined where the information gives none. */
  readonly type: CType | undefined;
  /** Where it is declared. */
  readonly declared?: { readonly file: string; readonly line: number };
  /**
   * Where it is in the given frame. Costs the evaluation of its location expression (DWARF 5, 2.5 and 2.6), under
   * an operation budget. Throws nothing: what cannot be found is "unavailable" with a sentence.
   */
  locate(frame: FrameContext): Location;
}

/** What location expressions may ask of a frame. */
export interface FrameContext {
  /** RIP as linked; for a caller's frame the call's own address (return address - 1), so that the scope is right. */
  readonly pc: bigint;
  /** A register of that frame by its DWARF number (x86-64 psABI, figure 3.36; i386 psABI for 32-bit files). */
  register(number: number): bigint | undefined;
  /** The canonical frame address, where unwinding knows it. */
  readonly cfa: bigint | undefined;
  /** Linear memory; undefined where it is not mapped. */
  read(address: bigint, length: number): Uint8Array | undefined;
}

/** Where a value is. */
export type Location =
  | { readonly kind: "memory"; readonly address: bigint }
  | { readonly kind: "register"; readonly register: number }
  /** DW_OP_stack_value and DW_OP_implicit_value: the value itself, little endian; it cannot be changed. */
  | { readonly kind: "value"; readonly bytes: Uint8Array }
  /** DW_OP_piece: parts one after another, from the lowest byte. */
  | { readonly kind: "pieces"; readonly pieces: readonly { location: Location; size: number }[] }
  | { readonly kind: "unavailable"; readonly reason: string };

/** A caller's frame, as the call frame information of its callee gives it (DWARF 5, 6.4). */
export interface UnwoundFrame {
  /** Registers of the caller by DWARF number; what is not listed is unknown (undefined rule). RIP is number 16. */
  readonly registers: ReadonlyMap<number, bigint>;
  /** The canonical frame address of the frame that was unwound. */
  readonly cfa: bigint;
  /** Whether the unwound code was entered by an interruption (augmentation "S"): RIP is exact, not behind a call. */
  readonly signalFrame: boolean;
}

/** The questions. Everything is read lazily and kept; nothing throws for malformed input: see `problems`. */
export interface DebugInfo {
  /** 8 for 64-bit files, 4 for 32-bit ones. */
  readonly addressSize: 4 | 8;
  /** The functions at an address, innermost first: inlined ones, then the one that holds them. */
  functionsAt(address: bigint): readonly FunctionScope[];
  /** Parameters and locals in scope at an address in one of `functionsAt`'s functions, inner blocks first. */
  variablesAt(address: bigint, scope: FunctionScope): readonly VariableInfo[];
  /**
   * A global or file-static variable by name; that of the unit holding `near` wins. One that is only declared has a
   * type, and is located as "unavailable".
   */
  global(name: string, near?: bigint): VariableInfo | undefined;
  /** Names of the globals, sorted; `prefix` narrows. At most `limit`. */
  globalNames(prefix: string, limit: number): readonly string[];
  /** Globals declared in the unit that holds an address. */
  globalsOfUnit(address: bigint): readonly VariableInfo[];
  /** A type by what C calls it: "struct pool", "union u", "enum e", "pmd_t", "unsigned long". */
  type(name: string): CType | undefined;
  /** An enumerator's value by name, of any enum. */
  enumerator(name: string): bigint | undefined;
  /**
   * Reads names ahead, so that `global`, `type` and `enumerator` need not read the whole file at once: unit after unit,
   * from where the last reading ended, as long as `goOn` says so.
   * @returns whether all names have been read
   */
  readNames(goOn: () => boolean): boolean;
  /**
   * The caller of the frame whose registers are given (DWARF numbers; 16 = RIP, 7 = RSP). Undefined where no call
   * frame information covers RIP or the stack cannot be read.
   */
  unwind(
    registers: ReadonlyMap<number, bigint>,
    read: (address: bigint, length: number) => Uint8Array | undefined,
  ): UnwoundFrame | undefined;
}

/** A place in a line table, for breakpoints and stepping. */
export interface LineRow {
  readonly address: bigint;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** is_stmt: a recommended place for a breakpoint. */
  readonly statement: boolean;
  readonly prologueEnd: boolean;
  /** The first address behind the row. */
  readonly end: bigint;
}

/** Lines in both directions. */
export interface LineInfo {
  /** The row that holds an address. */
  rowOf(address: bigint): LineRow | undefined;
  /** Rows that hold code of a line, in address order; none where the line has no code. */
  rowsOf(file: string, line: number): readonly LineRow[];
  /** Lines of a file that have statements, ascending; empty where the file is not known. */
  linesOf(file: string): readonly number[];
  /** Every source file that a line table names, as absolute paths; headers without code too. */
  files(): readonly string[];
}
