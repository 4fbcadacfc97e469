/**
 * Sequences of instructions: what a translator may get wrong between instructions, above all flags that it computes
 * late or not at all.
 *
 * Invariants: RBX, RBP, RSI and RSP point into good memory and are never written but by PUSH and POP; no instruction
 * reads a flag that an earlier one left undefined; so no sequence faults, and all of its results are defined.
 */
import { bytesOf, type Case, CaseBuilder, type Mode, RBP, RBX, RSI, RSP } from "./builder";
import { AF, CF, flagsRead, OF, ROTATE_WRITTEN, SHIFT_WRITTEN, WRITTEN } from "./flagEffects";
import { FORMS, type Form } from "./forms";
import { CODE_SIZE, PAGE } from "./layout";
import { inMode, operandOf, pickImmediate, sizesOf } from "./operands";
import type { Random } from "./random";
import { ALWAYS } from "./undefinedFlags";

const FAMILIES = [
  "alu",
  "test",
  "unary",
  "move",
  "extend",
  "lea",
  "multiply",
  "shift",
  "bits",
  "bmi",
  "condition",
];
const OTHER = ["CMC", "CLC", "STC", "SAHF", "LAHF", "PUSH", "POP"];
/** No fixed results or addresses, or no defined ones. */
const EXCLUDED = new Set(["BSF", "BSR", "XLATB", "CMPXCHG8B", "CMPXCHG16B", "MOVNTI"]);
const ROTATES = new Set(["ROL", "ROR", "RCL", "RCR"]);
const POINTERS = [RBX, RBP, RSI];
const LOCK = 0xf0;
const OPERAND_SIZE = 0x66;
const ADDRESS_SIZE = 0x67;

/** Whether a form can be in a sequence whatever the registers hold. */
function suits(form: Form): boolean {
  if (EXCLUDED.has(form.mnemonic)) return false;
  if (form.family === "shift") return (form.opcode & 0xfe) !== 0xd2;
  return operandOf(form, "O") === undefined && !(form.mnemonic === "MOV" && form.opcode === 0x8c);
}

function formsOf(mode: Mode): Form[] {
  const wanted = FAMILIES.flatMap((family) => [...FORMS.get(family)!]).filter(suits);
  const stack = [...FORMS.get("stack")!].filter(({ text }) => /^(PUSH|POP) (5|6A|68)/.test(text));
  const flags = [...FORMS.get("flags")!].filter(({ mnemonic }) => OTHER.includes(mnemonic));
  return [...wanted, ...stack, ...flags].filter((form) => inMode(form, mode));
}

const LAST = (mode: Mode): Form[] =>
  FORMS.get("jump")!.filter((form) => inMode(form, mode) && /^(J[A-Z]+|CALL) .* J[bz]$/.test(form.text));

class Sequence {
  private undefinedFlags = 0;
  readonly code: number[] = [];

  constructor(
    private readonly random: Random,
    private readonly mode: Mode,
    private readonly start: bigint,
  ) {}

  get undefined(): number {
    return this.undefinedFlags;
  }

  /** Adds an instruction unless it would read an undefined flag. */
  add(form: Form): void {
    if ((flagsRead(form.family, form.mnemonic, form.opcode) & this.undefinedFlags) !== 0) return;
    const sizes = sizesOf(form, this.mode);
    const operand = operandOf(form, "EM");
    const memory = operand !== undefined && (operand[0] === "M" || this.random.percent(35));
    if (memory && operandOf(form, "G") !== undefined && /^BT/.test(form.mnemonic)) return;
    const builder = new CaseBuilder(this.random, form, this.mode, this.random.pick(sizes), memory);
    this.encode(builder);
    this.code.push(...builder.bytes());
    this.track(builder);
  }

  /** A jump within the code region that is not onto the sequence. Condition flags may not be undefined. */
  addJump(form: Form): void {
    if ((flagsRead(form.family, form.mnemonic, form.opcode) & this.undefinedFlags) !== 0) return;
    const near = form.operands[0] === "Jz";
    const size = this.mode;
    const builder = new CaseBuilder(this.random, form, this.mode, size, false);
    const length = (near ? 4 : 1) + (form.map === 0 ? 1 : 2);
    const next = Number(this.start & BigInt(CODE_SIZE - 1)) + this.code.length + length;
    const distance = near ? this.random.between(0, CODE_SIZE - 1) - next : this.random.between(16, 127);
    const behind = this.code.length + length;
    builder.immediate = bytesOf(
      BigInt.asUintN(32, BigInt(distance < 0 && distance >= -behind ? 0 : distance)),
      near ? 4 : 1,
    );
    this.code.push(...builder.bytes());
  }

  private encode(builder: CaseBuilder): void {
    const { form, size, memory, random, legacy } = builder;
    if (size === 16) legacy.push(OPERAND_SIZE);
    if (size === 64 && !form.attributes.has("d64")) builder.rex |= 8;
    if (memory && form.attributes.has("lock") && random.percent(8)) legacy.push(LOCK);
    const highBytes = size < 64 && (this.mode === 32 || random.percent(40));
    const reg = form.digit ?? this.register(form, "G", highBytes);
    const rm = this.register(form, "ERZ", highBytes);
    if (operandOf(form, "B") !== undefined) builder.vvvv = this.register(form, "B", highBytes);
    builder.immediate = pickImmediate(builder);
    if (form.registerInOpcode) {
      builder.opcodeRegister = rm & 7;
      builder.rex |= rm >> 3;
    } else if (memory) this.encodeMemory(builder, reg);
    else if (form.modrm) {
      builder.modrm = [0xc0 | ((reg & 7) << 3) | (rm & 7)];
      builder.rex |= ((reg >> 3) << 2) | (rm >> 3);
    }
  }

  /** A register that may be written; with `highBytes`, AH, CH or DH where the operand is a byte, and no REX. */
  private register(form: Form, kinds: string, highBytes: boolean): number {
    const byte = operandOf(form, kinds)?.[1] === "b";
    if (highBytes) return this.random.pick(byte ? [0, 1, 2, 4, 5, 6] : [0, 1, 2, 7]);
    const low = byte ? [0, 1, 2] : [0, 1, 2, 7];
    return this.random.percent(50) ? this.random.pick(low) : this.random.between(8, 15);
  }

  private encodeMemory(builder: CaseBuilder, reg: number): void {
    const { random } = this;
    builder.rex |= (reg >> 3) << 2;
    if (this.mode === 64 && random.percent(5)) builder.legacy.push(ADDRESS_SIZE);
    const wide = random.percent(30);
    builder.modrm = [(wide ? 0x80 : 0x40) | ((reg & 7) << 3) | random.pick(POINTERS)];
    builder.displacement = bytesOf(BigInt.asUintN(32, BigInt(random.between(-128, 120))), wide ? 4 : 1);
  }

  /** Which flags are undefined now. */
  private track(builder: CaseBuilder): void {
    const { form, size, immediate } = builder;
    const { mnemonic } = form;
    if (form.family !== "shift") {
      this.undefinedFlags = (this.undefinedFlags & ~(WRITTEN[mnemonic] ?? 0)) | (ALWAYS[mnemonic] ?? 0);
      return;
    }
    const count = (form.operands.includes("Ib") ? immediate[0] : 1) & (size === 64 ? 63 : 31);
    if (count === 0) return;
    const rotate = ROTATES.has(mnemonic);
    this.undefinedFlags &= ~(rotate ? ROTATE_WRITTEN : SHIFT_WRITTEN);
    if (count > 1) this.undefinedFlags |= OF;
    if (!rotate) this.undefinedFlags |= AF;
    if (!rotate && mnemonic !== "SAR" && count >= size) this.undefinedFlags |= CF;
  }
}

/** Sequences of some instructions each. */
export function* sequences(random: Random, mode: Mode, count: number): Generator<Case> {
  const forms = formsOf(mode);
  const jumps = LAST(mode);
  const nop = FORMS.get("nop")!.find(({ text }) => text === "NOP 90 v")!;
  for (let i = 0; i < count; i++) {
    const frame = new CaseBuilder(
      random,
      { ...nop, family: "sequence", mnemonic: "sequence" },
      mode,
      mode,
      false,
    );
    for (const register of [...POINTERS, RSP]) frame.pin(register, frame.pickRoom(frame.pickBase()), mode);
    const inPage = random.percent(15) ? PAGE - random.below(30) : random.below(PAGE - 200);
    const start = frame.codeBase + BigInt(PAGE * random.between(1, 12) + inPage);
    const sequence = new Sequence(random, mode, start);
    const length = random.between(3, 9);
    for (let n = 0; n < length; n++) sequence.add(random.pick(forms));
    if (random.percent(60)) sequence.addJump(random.pick(jumps));
    if (sequence.code.length === 0) continue;
    const { form, registers, flags, patches } = frame;
    const code = Uint8Array.from(sequence.code);
    const undefinedFlags = sequence.undefined;
    yield { form, mode, size: mode, code, address: start, registers, flags, patches, undefinedFlags };
  }
}
