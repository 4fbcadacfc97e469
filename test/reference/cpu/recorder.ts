/** The streams of the recorder (recorder.c): cases in, states out. All little endian. */
import type { Case } from "./builder";
import { CODE_HIGH, CODE_LOW, DATA_HIGH, DATA_LOW, DATA_SIZE, FS_BASE, GS_BASE } from "./layout";
import type { Outcome } from "./recording";

const MAGIC = 0x6c617770;
const HEADER = 8 + 6 * 8 + DATA_SIZE;
const CASE = 144;
const STATE = 168;
const BREAKPOINT = 3;
const PAGE_FAULT = 14;
const ERROR_FETCH = 0x10;
/** The processor sets RF in the image of RFLAGS that a fault saves (SDM vol. 3A, 6.8.3); Linux reports that image. */
const FLAG_RF = 0x10000;

/** The recorder's input for some cases. */
export function encodeInput(background: Uint8Array, cases: readonly Case[]): Uint8Array {
  const size = cases.reduce(
    (sum, { code, patches }) =>
      sum + CASE + code.length + patches.reduce((n, p) => n + 4 + p.bytes.length, 0),
    HEADER,
  );
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, cases.length, true);
  [DATA_LOW, DATA_HIGH, CODE_LOW, CODE_HIGH, FS_BASE, GS_BASE].forEach((address, i) => {
    view.setBigUint64(8 + 8 * i, address, true);
  });
  bytes.set(background, HEADER - DATA_SIZE);
  let at = HEADER;
  for (const one of cases) at = encodeCase(bytes, view, at, one);
  return bytes;
}

function encodeCase(bytes: Uint8Array, view: DataView, start: number, one: Case): number {
  view.setBigUint64(start, one.address, true);
  one.registers.forEach((value, i) => {
    view.setBigUint64(start + 8 + 8 * i, value, true);
  });
  view.setUint32(start + 136, one.flags, true);
  bytes[start + 140] = one.mode;
  bytes[start + 141] = one.code.length;
  bytes[start + 142] = one.patches.length;
  bytes.set(one.code, start + CASE);
  let at = start + CASE + one.code.length;
  for (const { offset, bytes: content } of one.patches) {
    view.setUint16(at, offset, true);
    view.setUint16(at + 2, content.length, true);
    bytes.set(content, at + 4);
    at += 4 + content.length;
  }
  return at;
}

/** The outcomes that the recorder wrote for some cases. */
export function decodeOutput(bytes: Uint8Array, cases: readonly Case[]): Outcome[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  return cases.map((one) => {
    const words = Array.from({ length: 19 }, (_, i) => view.getBigUint64(at + 8 * i, true));
    const [rip, flags, cr2] = words.slice(16);
    const vector = view.getUint32(at + 152, true);
    const error = view.getUint32(at + 156, true);
    const changes = view.getUint32(at + 160, true);
    at += STATE;
    const memory: [number, number][] = [];
    for (let i = 0; i < changes; i++, at += 4) memory.push([view.getUint16(at, true), bytes[at + 2]]);
    at = (at + 7) & ~7;
    const state = { registers: words.slice(0, 16), flags: Number(flags) & ~FLAG_RF, memory };
    return { ...state, ...ending(one, rip, vector, error, cr2) };
  });
}

/** Tells where the instruction led, if it completed, from the fault that it raised, if it did not. */
function ending(
  one: Case,
  rip: bigint,
  vector: number,
  error: number,
  cr2: bigint,
): Pick<Outcome, "rip" | "exception"> {
  if (vector === BREAKPOINT) return { rip: rip - 1n, exception: undefined };
  const elsewhere =
    vector === PAGE_FAULT && rip !== one.address && cr2 === rip && (error & ERROR_FETCH) !== 0;
  if (elsewhere) return { rip, exception: undefined };
  const fault = vector === PAGE_FAULT;
  return { rip, exception: { vector, error, cr2: fault ? cr2 : 0n } };
}
