/** Generates the cases: the same ones on every computer, from nothing but the forms and a seed. */
import { address, PREFIX_FS, PREFIX_GS, segmentBase, type TargetPicker } from "./addressing";
import { bytesOf, type Case, CaseBuilder, type Mode } from "./builder";
import { FORMS, type Form } from "./forms";
import { INPUTS } from "./inputs";
import { CODE_HIGH, CODE_LOW, CODE_SIZE } from "./layout";
import { inMode, isRelative, lengthOf, operandOf, pickImmediate, sizesOf } from "./operands";
import { Random } from "./random";
import { sequences } from "./sequence";

const SEED = "pagewalk";
const LOCK = 0xf0;
const REPNE = 0xf2;
const REP = 0xf3;
const OPERAND_SIZE = 0x66;
const ADDRESS_SIZE = 0x67;
/** Overrides of segments that are flat in both modes (CS is not writable in 32-bit mode). */
const FLAT_SEGMENTS = [0x26, 0x2e, 0x36, 0x3e];

/** Cases for each combination of form, operand size and kind of r/m operand. */
const CASES: Record<Mode, number> = { 64: 44, 32: 22 };
const SEQUENCES: Record<Mode, number> = { 64: 6000, 32: 2000 };
const SHARES: readonly (readonly [attribute: string, factor: number])[] = [
  ["many", 3],
  ["some", 0.6],
  ["few", 0.35],
];

/** Of the instructions that take memory operands, those that do not touch them. */
const NO_ACCESS = new Set([
  "LEA",
  "NOP",
  "PREFETCHNTA",
  "PREFETCHT0",
  "PREFETCHT1",
  "PREFETCHT2",
  "PREFETCHW",
  "INVLPG",
]);

/** Prefixes that the form asks for or that change its operands. */
function choosePrefixes(builder: CaseBuilder): void {
  const { random, form, mode, memory, size, legacy } = builder;
  const { attributes } = form;
  if (size === 16) legacy.push(OPERAND_SIZE);
  if (size === 64 && !attributes.has("d64") && !isRelative(form)) builder.rex |= 8;
  const string = form.family === "string";
  const addressed =
    memory ||
    string ||
    form.mnemonic === "XLATB" ||
    form.operands[0]?.[0] === "O" ||
    form.operands.includes("Jb");
  if (addressed && random.percent(string ? 25 : 15)) {
    builder.addressSize = mode === 64 ? 32 : 16;
    legacy.push(ADDRESS_SIZE);
  }
  if (addressed && !form.operands.includes("Jb")) chooseSegment(builder);
  if (string && random.percent(80)) legacy.push(random.pick([REP, REPNE]));
  if (attributes.has("lock") && memory && random.percent(20)) legacy.push(LOCK);
  if (!attributes.has("plain") && !form.vex && random.percent(12)) superfluous(builder);
  if (legacy.length > 1 && random.percent(50)) legacy.reverse();
}

function chooseSegment(builder: CaseBuilder): void {
  const { random, legacy } = builder;
  const needsFs = builder.addressSize === 16 && random.percent(85);
  if (needsFs) builder.segment = PREFIX_FS;
  else if (random.percent(18)) builder.segment = random.pick([PREFIX_FS, PREFIX_GS]);
  else if (random.percent(6)) legacy.push(random.pick(FLAT_SEGMENTS));
  if (builder.segment !== undefined) legacy.push(builder.segment);
}

/** Prefixes that the instruction must ignore. */
function superfluous(builder: CaseBuilder): void {
  const { random, legacy, form, mode } = builder;
  const kinds: (() => void)[] = [
    () => legacy.push(random.pick([REP, REPNE])),
    () => {
      if (builder.segment === undefined) legacy.push(random.pick(FLAT_SEGMENTS));
    },
  ];
  if (mode === 64) {
    kinds.push(
      () => {
        builder.bareRex = true;
      },
      () => {
        builder.deadRex = 0x40 | random.below(16);
      },
      () => {
        const wide = builder.rex & 8 || builder.size === 8 || isRelative(form);
        if (wide && !legacy.includes(OPERAND_SIZE)) legacy.push(OPERAND_SIZE);
      },
    );
  }
  random.pick(kinds)();
}

function chooseTarget(builder: CaseBuilder, operand: string): TargetPicker {
  const { form, size, random, mode } = builder;
  if (NO_ACCESS.has(form.mnemonic)) return undefined;
  const length = lengthOf(form, operand, size);
  builder.targetLength = length;
  const middle = form.family === "bits" && random.percent(80);
  const low = builder.addressSize === 16 && builder.segment !== PREFIX_FS;
  const noncanonical = mode === 64 && builder.addressSize === 64 && random.percent(2);
  return (base) => {
    if (low) return segmentBase(builder) + BigInt(random.below(0x10000));
    if (noncanonical) return outside(random);
    if (middle) return builder.pickRoom(base);
    const place = builder.pickData(length, base);
    return length === 16 && random.percent(90) ? place & ~15n : place;
  };
}

/** An address that is not canonical. */
function outside(random: Random): bigint {
  return (BigInt(random.between(1, 0xfffe)) << 48n) | (random.word64() >> 17n);
}

/** A relative jump: anywhere in the code region but onto the instruction itself. */
function relative(builder: CaseBuilder, operand: string): bigint {
  const { random, size, mode } = builder;
  const width = operand === "Jb" ? 1 : mode === 32 && size === 16 ? 2 : 4;
  const length = builder.length(width);
  const place = builder.place(length);
  for (;;) {
    let distance = random.between(-128, 127);
    if (width === 2) distance = random.between(-0x8000, 0x7fff);
    if (width === 4) distance = Number(builder.codeBase - place) + random.below(CODE_SIZE + 64) - length;
    if (distance < 0 && distance >= -length) continue;
    builder.immediate = bytesOf(BigInt.asUintN(32, BigInt(distance)), width);
    return place;
  }
}

interface Wish {
  /** Fixes what would be left to chance, after the prefixes were chosen. */
  change?: (builder: CaseBuilder) => void;
}

function generateCase(
  random: Random,
  form: Form,
  mode: Mode,
  size: number,
  memory: boolean,
  wish: Wish,
): Case {
  const builder = new CaseBuilder(random, form, mode, size, memory);
  choosePrefixes(builder);
  builder.immediate = pickImmediate(builder);
  const reg = form.digit ?? random.below(builder.registerCount);
  const rm = random.below(builder.registerCount);
  if (form.vex && operandOf(form, "B")) builder.vvvv = random.below(builder.registerCount);
  if (form.registerInOpcode) {
    builder.opcodeRegister = rm & 7;
    builder.rex |= rm >> 3;
  }
  wish.change?.(builder);
  const inputs = INPUTS[form.mnemonic];
  inputs?.before?.(builder, rm, reg);
  const place = layOut(builder, rm, reg);
  inputs?.after?.(builder, rm, reg);
  fillMemory(builder);
  return builder.finish(place);
}

/** The bytes behind the opcode. Returns the address of the instruction. */
function layOut(builder: CaseBuilder, rm: number, reg: number): bigint {
  const { form } = builder;
  const operand = operandOf(form, "EMR");
  const jump = operandOf(form, "J");
  if (jump !== undefined) return relative(builder, jump);
  if (operandOf(form, "O") !== undefined) return absolute(builder);
  if (form.fixed !== undefined) builder.modrm = [form.fixed];
  if (operand !== undefined && builder.memory) return address(builder, reg, chooseTarget(builder, operand));
  if (operand !== undefined) {
    builder.modrm = [0xc0 | ((reg & 7) << 3) | (rm & 7)];
    if (reg > 7) builder.rex |= 4;
    builder.rex |= rm >> 3;
  }
  return builder.place(builder.length(0));
}

/** MOV between the accumulator and an absolute offset. */
function absolute(builder: CaseBuilder): bigint {
  const { addressSize, form, size } = builder;
  const pick = chooseTarget(builder, form.operands[0])!;
  for (;;) {
    const target = pick(builder.pickBase());
    const offset = BigInt.asUintN(builder.mode, target - segmentBase(builder));
    if (offset >> BigInt(addressSize) !== 0n) continue;
    builder.target = target;
    builder.targetLength = size / 8;
    builder.immediate = bytesOf(offset, addressSize / 8);
    return builder.place(builder.length(0));
  }
}

function fillMemory(builder: CaseBuilder): void {
  const { target, targetLength, random } = builder;
  if (target === undefined) return;
  const chance = random.operand() | (targetLength > 8 ? random.operand() << 64n : 0n);
  builder.patch(target, bytesOf(builder.memoryValue ?? chance, targetLength));
}

/** Whether the r/m operand may be a register, memory, or both; [false] where there is none. */
function kindsOf(form: Form): boolean[] {
  const operand = operandOf(form, "EMR");
  if (operand === undefined || operand[0] === "R") return [false];
  return operand[0] === "M" ? [true] : [false, true];
}

function* casesOfForm(form: Form, mode: Mode): Generator<Case> {
  let count = CASES[mode];
  for (const [attribute, factor] of SHARES)
    if (form.attributes.has(attribute)) count = Math.ceil(count * factor);
  for (const size of sizesOf(form, mode)) {
    for (const memory of kindsOf(form)) {
      const random = new Random(`${SEED} ${mode} ${form.text} ${size} ${memory}`);
      for (let i = 0; i < count; i++) yield generateCase(random, form, mode, size, memory, {});
    }
  }
}

/** Cases of random forms of some families, each bent in the same way. */
function* bent(
  name: string,
  mode: Mode,
  count: number,
  families: readonly string[],
  change: (b: CaseBuilder) => void,
) {
  const random = new Random(`${SEED} ${mode} ${name}`);
  const forms = families.flatMap((family) => [...FORMS.get(family)!]).filter((form) => inMode(form, mode));
  for (let i = 0; i < count; i++) {
    const form = { ...random.pick(forms), family: name };
    const memory = random.pick(kindsOf(form));
    yield generateCase(random, form, mode, random.pick(sizesOf(form, mode)), memory, { change });
  }
}

const PLAIN_FAMILIES = ["alu", "test", "unary", "move", "shift", "bits", "multiply"];

/** Families that are not about an instruction but about how instructions are encoded and fetched. */
const BENT: Record<string, (mode: Mode) => Generator<Case>> = {
  /** Instructions that end at the end of the mapped code, cross pages, or reach into what is not mapped. */
  fetch: (mode) =>
    bent("fetch", mode, 800, [...PLAIN_FAMILIES, "bmi", "lea"], (builder) => {
      builder.placement = builder.random.pick(["last", "beyond", "beyond", "crossing"]);
      builder.codeBase = mode === 64 ? builder.random.pick([CODE_LOW, CODE_HIGH]) : CODE_LOW;
    }),
  /** LOCK on instructions that do not take it, or on register operands. */
  lock: (mode) =>
    bent("lock", mode, 500, [...PLAIN_FAMILIES, "flags", "stack", "string"], (builder) => {
      if (!builder.legacy.includes(LOCK)) builder.legacy.push(LOCK);
    }),
  /** Superfluous prefixes up to and over the limit of 15 bytes. */
  length: (mode) =>
    bent("length", mode, 500, ["alu", "test", "unary", "shift"], (builder) => {
      const { random, legacy } = builder;
      const filler = builder.segment ?? random.pick(FLAT_SEGMENTS);
      const missing = random.between(12, 16) - builder.length(builder.memory ? 3 : 1);
      for (let i = 0; i < missing; i++) legacy.unshift(filler);
    }),
  /** Several instructions in a row. */
  sequence: (mode) => sequences(new Random(`${SEED} ${mode} sequence`), mode, SEQUENCES[mode]),
  /** VEX with prefixes or fields that make it undefined. */
  vex: (mode) =>
    bent("vex", mode, 200, ["bmi"], (builder) => {
      const { random, form } = builder;
      if (!form.vex) return;
      const kind = random.below(3);
      if (kind === 0) builder.vexL = 1;
      else if (kind === 1 || form.mnemonic !== "RORX")
        builder.legacy.push(random.pick([LOCK, REP, REPNE, OPERAND_SIZE]));
      else builder.vvvv = random.between(1, builder.registerCount - 1);
    }),
};

export const MODES: readonly Mode[] = [64, 32];

/** The families of a mode that have cases. */
export function familiesOf(mode: Mode): string[] {
  const families = [...FORMS].filter(([, forms]) => forms.some((form) => inMode(form, mode)));
  return [...families.map(([family]) => family), ...Object.keys(BENT)];
}

/** The cases of a family, always the same and in the same order. */
export function* generate(family: string, mode: Mode): Generator<Case> {
  const make = BENT[family];
  if (make !== undefined) yield* make(mode);
  else for (const form of FORMS.get(family)!) if (inMode(form, mode)) yield* casesOfForm(form, mode);
}
