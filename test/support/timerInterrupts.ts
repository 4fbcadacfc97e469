/** Code that sets up timer interrupts, as hexadecimal with spaces. */
import type { Machine } from "../../src/machine/machine";
import { DATA, HANDLERS } from "./longMode";

/** `mov al, value; out port, al` */
export const out = (port: number, value: number) => `b0 ${byte(value)} e6 ${byte(port)} `;
const byte = (value: number) => value.toString(16).padStart(2, "0");

/** The PICs at vectors 20H and 28H, only the timer unmasked. */
export const PICS =
  out(0x20, 0x11) + out(0x21, 0x20) + out(0x21, 4) + out(0x21, 1) + out(0x21, 0xfe) + out(0xa1, 0xff);
/** Counter 0 as a rate generator with a period of `count` ticks. */
export const timer = (count: number, mode = 2) =>
  out(0x43, 0x30 | (mode << 1)) + out(0x40, count & 0xff) + out(0x40, count >> 8);

/** A handler that counts in [DATA], ends the interrupt and returns; `end` is the code that ends it. */
export function countingHandler(machine: Machine, vector: number, end = "b0 20 e6 20"): void {
  // push rax; inc qword [DATA]; mov al,20h; out 20h,al (of the PIC); pop rax; iretq
  const code = `50 48 ff 04 25 ${dword(DATA)} ${end} 58 48 cf`;
  const place = 0x250000 + 64 * vector;
  const bytes = Uint8Array.from(code.split(" ").map((text) => Number.parseInt(text, 16)));
  machine.memory.writeBytes(place, bytes);
  // jmp rel32 in place of the HLT that longMode puts there
  const from = HANDLERS + 16 * vector;
  machine.memory.writeBytes(from, Uint8Array.of(0xe9));
  machine.memory.write32(from + 1, place - from - 5);
}

export const dword = (value: number) =>
  [0, 8, 16, 24].map((shift) => byte((value >>> shift) & 0xff)).join(" ");
