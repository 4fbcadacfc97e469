/** The ELF notes by which a kernel says how a hypervisor is to start it. */
import { sameBytes } from "../bytes/sameBytes";
import { NOTE } from "./abi";
import { DomainError } from "./errors";

/** A note of the owner "Xen". */
export interface RawNote {
  readonly type: number;
  readonly description: Uint8Array;
}

/** What the notes say. Addresses are virtual. */
export interface PvNotes {
  readonly entry: bigint;
  readonly virtBase: bigint;
  /** What is taken from physical addresses of the file before VIRT_BASE is added. */
  readonly paddrOffset: bigint;
  readonly hypercallPage: bigint | undefined;
  readonly initP2m: bigint | undefined;
  readonly modStartPfn: boolean;
  readonly paeMode: string | undefined;
  readonly features: readonly string[];
  /** Features without which the kernel does not run. */
  readonly required: readonly string[];
}

const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(NOTE).map(([name, type]) => [type, name]),
);
const NUMERIC: readonly number[] = [
  NOTE.ENTRY,
  NOTE.HYPERCALL_PAGE,
  NOTE.VIRT_BASE,
  NOTE.PADDR_OFFSET,
  NOTE.HV_START_LOW,
  NOTE.INIT_P2M,
  NOTE.MOD_START_PFN,
];

/**
 * Reads the notes of an image.
 * @param bits the image's word size
 * @throws DomainError where they are missing, malformed, or contradict each other
 */
export function readNotes(raw: readonly RawNote[], bits: 32 | 64): PvNotes {
  const byType = new Map<number, RawNote>();
  for (const note of raw) {
    const first = byType.get(note.type);
    if (first !== undefined && !sameBytes(first.description, note.description)) {
      throw new DomainError(
        `the Xen notes contradict each other: there are two different ${nameOf(note.type)}`,
      );
    }
    byType.set(note.type, note);
  }
  const number = (type: number) => numberIn(byType.get(type), bits);
  for (const type of NUMERIC) number(type);
  const entry = number(NOTE.ENTRY);
  if (entry === undefined) {
    throw new DomainError("the image has no Xen note ENTRY: it was not built as a paravirtual guest");
  }
  const virtBase = number(NOTE.VIRT_BASE);
  if (virtBase === undefined) throw new DomainError("the image has no Xen note VIRT_BASE");
  if (virtBase % 0x1000n !== 0n)
    throw new DomainError(`the Xen note VIRT_BASE is 0x${virtBase.toString(16)}, which is not page aligned`);
  if (entry < virtBase) {
    throw new DomainError(
      `the Xen notes contradict each other: ENTRY 0x${entry.toString(16)} lies below VIRT_BASE 0x${virtBase.toString(16)}`,
    );
  }
  const features =
    textIn(byType.get(NOTE.FEATURES))
      ?.split("|")
      .filter((word) => word !== "") ?? [];
  return {
    entry,
    virtBase,
    paddrOffset: number(NOTE.PADDR_OFFSET) ?? 0n,
    hypercallPage: number(NOTE.HYPERCALL_PAGE),
    initP2m: bits === 64 ? number(NOTE.INIT_P2M) : undefined,
    modStartPfn: (number(NOTE.MOD_START_PFN) ?? 0n) !== 0n,
    paeMode: textIn(byType.get(NOTE.PAE_MODE)),
    features: features.map((word) => word.replace(/^!/, "")),
    required: features.filter((word) => word.startsWith("!")).map((word) => word.slice(1)),
  };
}

function nameOf(type: number): string {
  return NAMES[type] ?? `notes of type ${type}`;
}

function numberIn(note: RawNote | undefined, bits: 32 | 64): bigint | undefined {
  if (note === undefined) return undefined;
  const { description, type } = note;
  if (description.length !== 4 && description.length !== 8) {
    throw new DomainError(`the Xen note ${nameOf(type)} holds ${description.length} bytes, not 4 or 8`);
  }
  const value = description.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  if (bits === 32 && value >> 32n !== 0n) {
    throw new DomainError(
      `the Xen note ${nameOf(type)} is 0x${value.toString(16)}, beyond the 4 GiB of the image`,
    );
  }
  return value;
}

function textIn(note: RawNote | undefined): string | undefined {
  if (note === undefined) return undefined;
  const text = String.fromCharCode(...note.description.subarray(0, 1024));
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}
