/** Operands of instruction forms: which there are, and their sizes. */
import { bytesOf, type CaseBuilder, type Mode } from "./builder";
import type { Form } from "./forms";

export function isRelative(form: Form): boolean {
  return form.operands[0]?.[0] === "J";
}

/** Operand sizes that a form comes in, in bits. */
export function sizesOf(form: Form, mode: Mode): number[] {
  const { attributes, operands } = form;
  const kinds = new Set(operands.map((operand) => operand.at(-1)!));
  const has = (kind: string): boolean => kinds.has(kind);
  if (attributes.has("wide") || isRelative(form)) return mode === 64 ? [64] : [16, 32];
  if (attributes.has("w64")) return [64];
  if (attributes.has("d64")) return mode === 64 ? [16, 64] : [16, 32];
  const sizes = has("v") || has("z") ? [16, 32, 64] : has("y") ? [32, 64] : [8];
  return sizes.filter((size) => size <= mode || size === 8);
}

export function operandOf(form: Form, kinds: string): string | undefined {
  return form.operands.find((operand) => operand.length > 1 && kinds.includes(operand[0]));
}

/** Bytes of an operand by the size letters behind its kind. */
export function lengthOf(form: Form, operand: string, size: number): number {
  if (form.mnemonic === "BOUND") return size / 4;
  const letters = operand.slice(1);
  const fixed = { b: 1, w: 2, d: 4, q: 8, dq: 16 }[letters];
  return fixed ?? (letters === "z" ? Math.min(size, 32) / 8 : size / 8);
}

export function pickImmediate(builder: CaseBuilder): Uint8Array {
  const { form, size, random } = builder;
  let total = new Uint8Array(0);
  for (const operand of form.operands) {
    if (operand[0] !== "I") continue;
    total = Uint8Array.from([...total, ...bytesOf(random.operand(), lengthOf(form, operand, size))]);
  }
  return total;
}

export function inMode(form: Form, mode: Mode): boolean {
  return !form.attributes.has(mode === 64 ? "o32" : "o64");
}
