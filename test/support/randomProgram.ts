/** Small programs of 64-bit code that do what is hard to undo, for properties over random ones. */
import fc from "fast-check";
import type { Machine } from "../../src/machine/machine";
import { CODE, DATA, HANDLERS, hexBytes, type LongModeOptions, longMode, PML4, PT } from "./longMode";

/** The program changes nothing from here on. */
export const END_OF_MEMORY = 0x400000;
/** Sixteen pages that may be mapped or not. */
const PAGES = 0x180000;
/** `mov bl, n` whose n gets written over. */
const PATCHED = CODE + 6;

function le(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);
}

const page = fc.integer({ min: 0, max: 15 });
const byte = fc.integer({ min: 0, max: 255 });
const register = fc.constantFrom(0, 1, 2, 3, 6, 7);

/** The bytes of one step of a program. */
const step: fc.Arbitrary<readonly number[]> = fc.oneof(
  // add, xor, sub of registers; inc
  fc
    .tuple(fc.constantFrom(0x01, 0x31, 0x29), register, register)
    .map(([op, a, b]) => [0x48, op, 0xc0 | (a << 3) | b]),
  register.map((r) => [0x48, 0xff, 0xc0 | r]),
  // mov [page + offset], rax; add rbx, [page + offset]
  fc.tuple(page, byte).map(([p, o]) => [0x48, 0x89, 0x04, 0x25, ...le(PAGES + 4096 * p + 8 * o, 4)]),
  fc.tuple(page, byte).map(([p, o]) => [0x48, 0x03, 0x1c, 0x25, ...le(PAGES + 4096 * p + 8 * o, 4)]),
  // across two pages
  page.map((p) => [0x48, 0x89, 0x0c, 0x25, ...le(PAGES + 4096 * p + 4093, 4)]),
  // the entry of a page := not present, its own frame, read-only, another frame
  fc
    .tuple(page, page, fc.constantFrom(0, 1, 3, 3))
    .map(([p, q, flags]) => [
      ...[0x48, 0xc7, 0x04, 0x25, ...le(PT + 8 * (0x180 + p), 4)],
      ...le(flags === 0 ? 0 : (PAGES + 4096 * q) | flags, 4),
    ]),
  // invlpg; reload of CR3
  page.map((p) => [0x0f, 0x01, 0x3c, 0x25, ...le(PAGES + 4096 * p, 4)]),
  fc.constant([0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8]),
  // self-modification: mov byte [PATCHED + 1], n
  byte.map((n) => [0xc6, 0x04, 0x25, ...le(PATCHED + 1, 4), n]),
  // rep stosb of up to 255 bytes into a page
  fc
    .tuple(page, byte)
    .map(([p, n]) => [0xbf, ...le(PAGES + 4096 * p + 4000, 4), 0xb9, ...le(n, 4), 0xf3, 0xaa]),
  // push rax; pop rdx
  fc.constant([0x50, 0x5a]),
  // ud2; int 0x80; single-stepping
  fc.constant([0x0f, 0x0b]),
  fc.constant([0xcd, 0x80]),
  fc.constant([0x9c, 0x81, 0x0c, 0x24, ...le(0x100, 4), 0x9d]),
  // a character, a line end
  fc.constantFrom(0x41, 0x42, 0x0a).map((n) => [0x66, 0xba, 0xf8, 0x03, 0xb0, n, 0xee]),
  // timer: a control word and a count, a read; CMOS; loopback
  byte.map((n) => [0xb0, 0x34, 0xe6, 0x43, 0xb0, n, 0xe6, 0x40]),
  fc.constant([0xe4, 0x40]),
  byte.map((n) => [0xb0, n & 0x7f, 0xe6, 0x70, 0xe4, 0x71, 0xff, 0xc0, 0xe6, 0x71]),
  byte.map((n) => [0xb0, n, 0xe6, 0x64, 0xb0, 0x55, 0xe6, 0x60, 0xe4, 0x60]),
  // rdtsc
  fc.constant([0x0f, 0x31]),
  // a short loop: mov ecx, n; 1: add [page], ecx; dec ecx; jnz 1b
  fc
    .tuple(page, fc.integer({ min: 1, max: 40 }))
    .map(([p, n]) => [
      0xb9,
      ...le(n, 4),
      0x01,
      0x0c,
      0x25,
      ...le(PAGES + 4096 * p, 4),
      0xff,
      0xc9,
      0x75,
      0xf5,
    ]),
);

/** A program that goes round for ever. */
export const program: fc.Arbitrary<Uint8Array> = fc
  .array(step, { minLength: 3, maxLength: 25 })
  .map((steps) => {
    // jmp over nothing; the patched instruction; the steps; back to the start.
    const body = [0x48, 0xff, 0xc5, 0x0f, 0x1f, 0x00, 0xb3, 0x01, ...steps.flat()];
    const back = -(body.length + 5);
    return Uint8Array.from([...body, 0xe9, ...le(back >>> 0, 4)]);
  });

/** A machine that is about to run a program; its handlers come back. */
export function machineWith(code: Uint8Array, tlb: LongModeOptions["tlb"] = "max"): Machine {
  const machine = longMode(code, { tlb, registers: { rax: 0x1122334455667788n } });
  const handler = (vector: number, bytes: string) => {
    const at = HANDLERS + 0x1000 + 64 * vector;
    machine.memory.writeBytes(at, hexBytes(bytes));
    machine.memory.writeBytes(
      HANDLERS + 16 * vector,
      Uint8Array.from([0xe9, ...le(at - (HANDLERS + 16 * vector + 5), 4)]),
    );
  };
  // #DB: TF off. #UD: over it. #PF: the page's own frame, writable, and whatever the page fault's code left away.
  handler(1, "48 81 64 24 10 ff fe ff ff 48 cf");
  handler(6, "48 83 04 24 02 48 cf");
  handler(
    14,
    "50 51 0f 20 d0 48 c1 e8 0c 25 ff 01 00 00 48 89 c1 48 c1 e1 0c 48 83 c9 03 48 89 0c c5 00 40 00 00 59 58 48 83 c4 08 48 cf",
  );
  handler(0x80, "48 cf");
  return machine;
}

export { CODE, DATA, PML4 };
