/**
 * The x86 filter of xz (The .xz File Format, 5.3.2 "Branch/Call/Jump Filters"): an encoder turns the relative targets
 * of CALL and JMP (E8, E9) into absolute ones, which repeat more often; here they become relative again.
 *
 * A target is only converted where its highest byte is 00 or FF, and an opcode close behind others that were left
 * alone is taken for a part of their operands unless the bytes say otherwise: `recent` has a bit for each of the last
 * three bytes that looked like an opcode and was not converted, bit 0 for the byte just before.
 */

/** By `recent`: whether a conversion is possible at all, and which byte of the operand an earlier opcode's top is. */
const POSSIBLE = [true, true, true, false, true, false, false, false];
const EARLIER_TOP = [0, 1, 2, 2, 3, 3, 3, 3];

const isSignByte = (byte: number): boolean => byte === 0 || byte === 0xff;

/** @param start the offset that the first byte is counted at */
export function decodeBcjX86(bytes: Uint8Array, start = 0): void {
  const limit = bytes.length - 4;
  let recent = 0;
  let last = -5;
  for (let at = 0; at < limit; at++) {
    if ((bytes[at] & 0xfe) !== 0xe8) continue;
    const distance = at - last;
    recent = distance > 3 ? 0 : (recent << (distance - 1)) & 7;
    last = at;
    const blocked = recent !== 0 && (!POSSIBLE[recent] || isSignByte(bytes[at + 4 - EARLIER_TOP[recent]]));
    if (blocked || !isSignByte(bytes[at + 4])) {
      recent = ((recent << 1) & 7) | 1;
      continue;
    }
    write(bytes, at + 1, relative(read(bytes, at + 1), start + at + 5, recent));
    recent = 0;
    at += 4;
  }
}

function relative(absolute: number, next: number, recent: number): number {
  let source = absolute;
  for (;;) {
    const target = (source - next) | 0;
    if (recent === 0) return target;
    const shift = EARLIER_TOP[recent] * 8;
    if (!isSignByte((target >>> (24 - shift)) & 0xff)) return target;
    source = target ^ (2 ** (32 - shift) - 1);
  }
}

function read(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

/** 25 bits, sign-extended. */
function write(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = (value & 0x1000000) !== 0 ? 0xff : 0;
}
