/**
 * Call frame information (DWARF 5, 6.4; .eh_frame: Linux Standard Base, "Exception Frames"): how a frame's caller
 * and its registers are found.
 */
import type { FrameContext, UnwoundFrame } from "../debugInfo";
import { Budget } from "./budget";
import { DW_CFA } from "./constants";
import { evaluate } from "./expression";
import type { Encoding } from "./form";
import { DwarfReader, type DwarfSection } from "./reader";
import type { DwarfSections } from "./sections";

/** Steps of reading all entries, and of running one entry's instructions. */
const INDEX_STEPS = 20_000_000;
const PROGRAM_STEPS = 100_000;
const MOST_REMEMBERED = 100;

/** A common information entry. */
interface Cie {
  readonly encoding: Encoding;
  readonly codeAlignment: bigint;
  readonly dataAlignment: bigint;
  readonly returnRegister: number;
  readonly signalFrame: boolean;
  readonly pointerEncoding: number;
  readonly hasAugmentationData: boolean;
  readonly instructions: DwarfReader;
}

/** A frame description entry. */
interface Fde {
  readonly cie: Cie;
  readonly start: bigint;
  readonly end: bigint;
  readonly instructions: DwarfReader;
}

/** How a register of the caller is found (6.4.1). */
type Rule =
  | { readonly kind: "undefined" }
  | { readonly kind: "same" }
  | { readonly kind: "offset" | "value-offset"; readonly offset: bigint }
  | { readonly kind: "register"; readonly register: number }
  | { readonly kind: "expression" | "value-expression"; readonly bytes: Uint8Array };

type CfaRule =
  | { readonly kind: "register"; readonly register: number; readonly offset: bigint }
  | { readonly kind: "expression"; readonly bytes: Uint8Array };

interface Row {
  cfa: CfaRule | undefined;
  rules: Map<number, Rule>;
}

/** Where .eh_frame is linked to; its pointers are relative to where they lie. */
export interface EhFramePlace {
  readonly address: bigint;
}

export class CallFrames {
  private entries: readonly Fde[] | undefined;
  private readonly cies = new Map<string, Cie>();

  /** @param report told of what cannot be read */
  constructor(
    private readonly sections: DwarfSections,
    private readonly ehFrame: EhFramePlace,
    private readonly addressSize: 4 | 8,
    private readonly report: (error: unknown) => void,
  ) {}

  /**
   * The caller of a frame.
   * @param registers by DWARF number, of the frame; its instruction pointer as linked
   */
  unwind(
    registers: ReadonlyMap<number, bigint>,
    read: (address: bigint, length: number) => Uint8Array | undefined,
  ): UnwoundFrame | undefined {
    const pc = registers.get(this.addressSize === 8 ? 16 : 8);
    const entry = pc === undefined ? undefined : this.find(pc);
    if (pc === undefined || entry === undefined) return undefined;
    try {
      return this.apply(entry, pc, registers, read);
    } catch (error) {
      this.report(error);
      return undefined;
    }
  }

  private apply(
    entry: Fde,
    pc: bigint,
    registers: ReadonlyMap<number, bigint>,
    read: (address: bigint, length: number) => Uint8Array | undefined,
  ): UnwoundFrame | undefined {
    const row = rowAt(entry, pc);
    const { encoding, returnRegister, signalFrame } = entry.cie;
    const frame: FrameContext = { pc, cfa: undefined, register: (number) => registers.get(number), read };
    const context = { sections: this.sections, encoding, addrBase: 0, frame, frameBase: () => undefined };
    const mask = (value: bigint) => BigInt.asUintN(8 * this.addressSize, value);
    const cfa =
      row.cfa === undefined
        ? undefined
        : row.cfa.kind === "expression"
          ? evaluate(row.cfa.bytes, context)
          : sum(registers.get(row.cfa.register), row.cfa.offset, mask);
    if (cfa === undefined) return undefined;
    const load = (address: bigint) => {
      const bytes = read(mask(address), this.addressSize);
      return bytes === undefined ? undefined : littleEndian(bytes);
    };
    const found = new Map<number, bigint>();
    const ruleOf = (rule: Rule | undefined, register: number): bigint | undefined => {
      switch (rule?.kind) {
        case "undefined":
          return undefined;
        case undefined:
        case "same":
          return registers.get(register);
        case "offset":
          return load(cfa + rule.offset);
        case "value-offset":
          return mask(cfa + rule.offset);
        case "register":
          return registers.get(rule.register);
        case "expression": {
          const address = evaluate(rule.bytes, context, [cfa]);
          return address === undefined ? undefined : load(address);
        }
        case "value-expression":
          return evaluate(rule.bytes, context, [cfa]);
      }
    };
    for (const register of new Set([...registers.keys(), ...row.rules.keys()])) {
      const value = ruleOf(row.rules.get(register), register);
      if (value !== undefined) found.set(register, value);
    }
    const stackPointer = this.addressSize === 8 ? 7 : 4;
    if (!row.rules.has(stackPointer)) found.set(stackPointer, cfa);
    const instructionPointer = this.addressSize === 8 ? 16 : 8;
    const returnRule = row.rules.get(returnRegister);
    const returns = returnRule === undefined ? undefined : ruleOf(returnRule, returnRegister);
    if (returns === undefined) found.delete(instructionPointer);
    else found.set(instructionPointer, returns);
    return { registers: found, cfa, signalFrame };
  }

  /** The innermost entry for an address: of those that hold it, the one that begins last. */
  private find(pc: bigint): Fde | undefined {
    this.entries ??= this.readAll();
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.entries[middle].start <= pc) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at >= 0 && at > low - 8; at--)
      if (pc < this.entries[at].end) return this.entries[at];
    return undefined;
  }

  private readAll(): Fde[] {
    const budget = new Budget(INDEX_STEPS);
    const found: Fde[] = [];
    for (const [section, eh] of [
      [this.sections.frame, false],
      [this.sections.ehFrame, true],
    ] as const) {
      try {
        this.readSection(section, eh, budget, found);
      } catch (error) {
        this.report(error);
      }
    }
    return found.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  }

  private readSection(section: DwarfSection, eh: boolean, budget: Budget, found: Fde[]): void {
    for (let at = 0; at < section.bytes.length; ) {
      const reader = new DwarfReader(section, at);
      budget.spend(reader);
      const { length, offsetSize } = reader.initialLength();
      if (length === 0 && eh) return;
      const idAt = reader.position;
      const body = reader.sub(length);
      at = body.end;
      const id = eh ? body.u32() : body.offset(offsetSize);
      const isCie = eh ? id === 0 : id === (offsetSize === 4 ? 0xffffffff : Number.MAX_SAFE_INTEGER);
      if (isCie) continue;
      try {
        const cie = this.cieAt(section, eh ? idAt - id : id, eh);
        found.push(this.readFde(cie, body, eh));
      } catch (error) {
        this.report(error);
      }
    }
  }

  private readFde(cie: Cie, body: DwarfReader, eh: boolean): Fde {
    const start = this.pointer(body, cie, eh, false);
    const length = this.pointer(body, cie, eh, true);
    if (cie.hasAugmentationData) body.skip(body.uleb());
    return { cie, start, end: start + length, instructions: body };
  }

  private cieAt(section: DwarfSection, offset: number, eh: boolean): Cie {
    const key = `${eh}:${offset}`;
    let cie = this.cies.get(key);
    if (cie === undefined) {
      cie = this.readCie(section, offset, eh);
      this.cies.set(key, cie);
    }
    return cie;
  }

  private readCie(section: DwarfSection, offset: number, eh: boolean): Cie {
    const reader = new DwarfReader(section, offset);
    const { length, offsetSize } = reader.initialLength();
    const body = reader.sub(length);
    if (eh) body.skip(4);
    else body.offset(offsetSize);
    const version = body.u8();
    if (version !== 1 && version !== 3 && version !== 4) {
      throw reader.error(`call frame information of version ${version} is not known`, offset);
    }
    const augmentation = body.string();
    let addressSize: number = this.addressSize;
    if (version >= 4) {
      addressSize = body.u8();
      if (body.u8() !== 0) throw reader.error("segments in call frame information are not known", offset);
    }
    const codeAlignment = body.uleb64();
    const dataAlignment = body.sleb64();
    const returnRegister = version === 1 ? body.u8() : body.uleb();
    let pointerEncoding = 0;
    const hasAugmentationData = augmentation.startsWith("z");
    const data = hasAugmentationData ? body.sub(body.uleb()) : undefined;
    for (const letter of augmentation) {
      if (data === undefined) break;
      if (letter === "R") pointerEncoding = data.u8();
      else if (letter === "L") data.u8();
      else if (letter === "P") this.encoded(data, data.u8(), false);
    }
    return {
      encoding: { version: 5, offsetSize, addressSize },
      codeAlignment,
      dataAlignment,
      returnRegister,
      signalFrame: augmentation.includes("S"),
      pointerEncoding,
      hasAugmentationData,
      instructions: body,
    };
  }

  private pointer(body: DwarfReader, cie: Cie, eh: boolean, isLength: boolean): bigint {
    if (!eh) return body.address(cie.encoding.addressSize);
    return this.encoded(body, cie.pointerEncoding, isLength);
  }

  /** A pointer of .eh_frame (LSB, "DWARF Exception Header Encoding"). */
  private encoded(reader: DwarfReader, encoding: number, isLength: boolean): bigint {
    const at = reader.position;
    const raw = readEncoded(reader, encoding & 0x0f, this.addressSize);
    const relative = isLength ? 0 : encoding & 0x70;
    if (relative === 0) return BigInt.asUintN(8 * this.addressSize, raw);
    if (relative !== 0x10) {
      throw reader.error(`pointers encoded as 0x${encoding.toString(16)} are not known`, at);
    }
    return BigInt.asUintN(8 * this.addressSize, raw + this.ehFrame.address + BigInt(at));
  }
}

function readEncoded(reader: DwarfReader, format: number, addressSize: number): bigint {
  switch (format) {
    case 0x00:
      return reader.address(addressSize);
    case 0x01:
      return reader.uleb64();
    case 0x02:
      return BigInt(reader.u16());
    case 0x03:
      return BigInt(reader.u32());
    case 0x04:
    case 0x0c:
      return reader.u64();
    case 0x09:
      return reader.sleb64();
    case 0x0a:
      return BigInt.asIntN(16, BigInt(reader.u16()));
    case 0x0b:
      return BigInt.asIntN(32, BigInt(reader.u32()));
    default:
      throw reader.error(`a pointer format of ${format} is not known`);
  }
}

/** The rules that hold at an address: the entry's instructions up to it (6.4.3). */
function rowAt(entry: Fde, pc: bigint): Row {
  const initial: Row = { cfa: undefined, rules: new Map() };
  const program = new RowProgram(entry.cie, initial, undefined);
  program.run(entry.cie.instructions, entry.start, 1n << 64n);
  const start: Row = { cfa: initial.cfa, rules: new Map(initial.rules) };
  const row: Row = { cfa: initial.cfa, rules: new Map(initial.rules) };
  new RowProgram(entry.cie, row, start).run(entry.instructions, entry.start, pc);
  return row;
}

/** Call frame instructions (6.4.2). */
class RowProgram {
  private readonly budget = new Budget(PROGRAM_STEPS);
  private readonly remembered: Row[] = [];

  constructor(
    private readonly cie: Cie,
    private readonly row: Row,
    /** The rules at the entry's start; undefined while these are made. */
    private readonly initial: Row | undefined,
  ) {}

  run(instructions: DwarfReader, start: bigint, pc: bigint): void {
    const reader = new DwarfReader(instructions.section, instructions.position, instructions.end);
    let location = start;
    while (reader.remaining > 0) {
      this.budget.spend(reader);
      const at = reader.position;
      const opcode = reader.u8();
      const by = this.advance(opcode, reader);
      if (by !== undefined) {
        location += by * this.cie.codeAlignment;
        if (location > pc) return;
      } else if (opcode === DW_CFA.set_loc) {
        location = reader.address(this.cie.encoding.addressSize);
        if (location > pc) return;
      } else if (!this.cfa(opcode, reader) && !this.rule(opcode, reader) && !this.state(opcode, reader)) {
        throw reader.error(`the call frame instruction 0x${opcode.toString(16)} is not known`, at);
      }
    }
  }

  private advance(opcode: number, reader: DwarfReader): bigint | undefined {
    if ((opcode & 0xc0) === DW_CFA.advance_loc) return BigInt(opcode & 0x3f);
    if (opcode === DW_CFA.advance_loc1) return BigInt(reader.u8());
    if (opcode === DW_CFA.advance_loc2) return BigInt(reader.u16());
    if (opcode === DW_CFA.advance_loc4) return BigInt(reader.u32());
    return undefined;
  }

  private cfa(opcode: number, reader: DwarfReader): boolean {
    const { row, cie } = this;
    const current = row.cfa?.kind === "register" ? row.cfa : { register: 0, offset: 0n };
    switch (opcode) {
      case DW_CFA.def_cfa:
        row.cfa = { kind: "register", register: reader.uleb(), offset: reader.uleb64() };
        return true;
      case DW_CFA.def_cfa_sf:
        row.cfa = { kind: "register", register: reader.uleb(), offset: reader.sleb64() * cie.dataAlignment };
        return true;
      case DW_CFA.def_cfa_register:
        row.cfa = { kind: "register", register: reader.uleb(), offset: current.offset };
        return true;
      case DW_CFA.def_cfa_offset:
        row.cfa = { kind: "register", register: current.register, offset: reader.uleb64() };
        return true;
      case DW_CFA.def_cfa_offset_sf:
        row.cfa = {
          kind: "register",
          register: current.register,
          offset: reader.sleb64() * cie.dataAlignment,
        };
        return true;
      case DW_CFA.def_cfa_expression:
        row.cfa = { kind: "expression", bytes: reader.bytes(reader.uleb()) };
        return true;
      default:
        return false;
    }
  }

  private rule(opcode: number, reader: DwarfReader): boolean {
    const { row, cie } = this;
    const factored = (value: bigint) => value * cie.dataAlignment;
    const set = (register: number, rule: Rule) => {
      row.rules.set(register, rule);
      return true;
    };
    if ((opcode & 0xc0) === DW_CFA.offset) {
      return set(opcode & 0x3f, { kind: "offset", offset: factored(reader.uleb64()) });
    }
    if ((opcode & 0xc0) === DW_CFA.restore) return this.restore(opcode & 0x3f);
    switch (opcode) {
      case DW_CFA.offset_extended:
        return set(reader.uleb(), { kind: "offset", offset: factored(reader.uleb64()) });
      case DW_CFA.offset_extended_sf:
        return set(reader.uleb(), { kind: "offset", offset: factored(reader.sleb64()) });
      case DW_CFA.GNU_negative_offset_extended:
        return set(reader.uleb(), { kind: "offset", offset: factored(-reader.uleb64()) });
      case DW_CFA.val_offset:
        return set(reader.uleb(), { kind: "value-offset", offset: factored(reader.uleb64()) });
      case DW_CFA.val_offset_sf:
        return set(reader.uleb(), { kind: "value-offset", offset: factored(reader.sleb64()) });
      case DW_CFA.register:
        return set(reader.uleb(), { kind: "register", register: reader.uleb() });
      case DW_CFA.expression:
        return set(reader.uleb(), { kind: "expression", bytes: reader.bytes(reader.uleb()) });
      case DW_CFA.val_expression:
        return set(reader.uleb(), { kind: "value-expression", bytes: reader.bytes(reader.uleb()) });
      case DW_CFA.undefined:
        return set(reader.uleb(), { kind: "undefined" });
      case DW_CFA.same_value:
        return set(reader.uleb(), { kind: "same" });
      case DW_CFA.restore_extended:
        return this.restore(reader.uleb());
      default:
        return false;
    }
  }

  private restore(register: number): boolean {
    const rule = this.initial?.rules.get(register);
    if (rule === undefined) this.row.rules.delete(register);
    else this.row.rules.set(register, rule);
    return true;
  }

  private state(opcode: number, reader: DwarfReader): boolean {
    const { row, remembered } = this;
    switch (opcode) {
      case DW_CFA.nop:
        return true;
      case DW_CFA.GNU_args_size:
        reader.uleb();
        return true;
      case DW_CFA.remember_state:
        if (remembered.length >= MOST_REMEMBERED) throw reader.error("too many remembered states");
        remembered.push({ cfa: row.cfa, rules: new Map(row.rules) });
        return true;
      case DW_CFA.restore_state: {
        const state = remembered.pop();
        if (state === undefined) throw reader.error("no state was remembered");
        row.cfa = state.cfa;
        row.rules = state.rules;
        return true;
      }
      default:
        return false;
    }
  }
}

function sum(base: bigint | undefined, offset: bigint, mask: (value: bigint) => bigint): bigint | undefined {
  return base === undefined ? undefined : mask(base + offset);
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}
