/**
 * A paravirtual Xen domain out of an ELF image: what of the file the domain builder wants, and a boot out of what it
 * has built.
 */

import type { ElfImage } from "../symbols/elf";
import { Symbols } from "../symbols/symbols";
import { buildDomain, type Domain, type PvImage } from "../xen/domainBuilder";
import { DomainError } from "../xen/errors";
import type { FrameOrder } from "../xen/machineFrames";
import { cString } from "./bytes";
import { ImageError } from "./errors";
import { loadableSegments } from "./executable";
import { E820_USABLE, type MemoryMap } from "./memoryMap";
import type { SymbolPatch } from "./programs/program";
import type { SparseFile } from "./ramdisk";

/** What may be chosen of a domain and its hypervisor. */
export interface XenPvOptions {
  /** How machine frames are handed out; "shuffled" unless given. */
  order?: FrameOrder;
  /** Whether the P->M list goes where the note INIT_P2M says, where there is one; true unless given. */
  p2mOutside?: boolean;
  /** Whether direct writes to L1 tables are carried out as if by mmu_update; true unless given. */
  ptwr?: boolean;
}

/** What a domain is built of besides its image. */
export interface XenPvInput extends XenPvOptions {
  cmdline: string;
  ramdisk?: SparseFile;
  pages1G: boolean;
  nx: boolean;
  maxPhysicalBits: number;
}

const PAGE = 4096;
/** Bytes of start_info that hold it. */
const CMDLINE_LIMIT = 1024;
const XEN_OWNER = "Xen";
/** XEN_ELFNOTE_ENTRY: the virtual address of the entry of a paravirtual domain. */
const XEN_PV_ENTRY = 1;

/** Whether an image says how a paravirtual domain of it is to be entered. */
export function isXenPv(image: ElfImage): boolean {
  return image.notes().some(({ name, type }) => name === XEN_OWNER && type === XEN_PV_ENTRY);
}

/** @throws ImageError where the image or its notes cannot be used, or the domain's memory does not hold it */
export function bootXenPv(
  image: ElfImage,
  map: MemoryMap,
  input: XenPvInput,
  patches: readonly SymbolPatch[],
): Domain {
  const usable = map.e820.filter(({ type }) => type === E820_USABLE);
  const end = Math.max(0, ...usable.map((range) => range.end));
  const { ramdisk } = input;
  try {
    return buildDomain(pvImage(image, patches), {
      nrPages: Math.floor(end / PAGE),
      populated: usable.map((range) => ({
        start: Math.ceil(range.start / PAGE),
        end: Math.floor(range.end / PAGE),
      })),
      cmdline: cString(input.cmdline, "the command line", CMDLINE_LIMIT),
      ...(ramdisk === undefined || ramdisk.size === 0 ? {} : { ramdisk: contentsOf(ramdisk) }),
      order: input.order ?? "shuffled",
      p2mOutside: input.p2mOutside ?? true,
      pages1G: input.pages1G,
      nx: input.nx,
      maxPhysicalBits: input.maxPhysicalBits,
    });
  } catch (error) {
    if (error instanceof DomainError) throw new ImageError(error.message);
    throw error;
  }
}

/** A domain's memory has no holes: all of it from 0 on. */
export function domainMemory(size: number): MemoryMap {
  const end = Math.floor(size / PAGE) * PAGE;
  const whole = { start: 0, end };
  return { ram: [whole], e820: [{ ...whole, type: E820_USABLE }], size };
}

function pvImage(image: ElfImage, patches: readonly SymbolPatch[]): PvImage {
  const segments = loadableSegments(image).map(({ segment }) => ({
    physical: segment.physicalAddress,
    linear: segment.virtualAddress,
    bytes: new Uint8Array(image.segmentData(segment)),
    memorySize: segment.memorySize,
  }));
  const symbols = Symbols.fromElf(image, { loadDelta: 0 });
  for (const { symbol, offset, value } of patches) {
    const address = symbols.addressOf(symbol);
    const at = address === undefined ? undefined : address + BigInt(offset);
    const segment = segments.find(
      ({ linear, bytes }) => at !== undefined && at >= linear && at + 4n <= linear + BigInt(bytes.length),
    );
    if (segment === undefined || at === undefined) {
      throw new ImageError(
        `the image has no data at the symbol ${symbol}+${offset}, where its settings belong`,
      );
    }
    new DataView(segment.bytes.buffer).setUint32(Number(at - segment.linear), value, true);
  }
  return {
    bits: image.class,
    segments,
    notes: image.notes().filter(({ name }) => name === XEN_OWNER),
  };
}

function contentsOf(file: SparseFile): Uint8Array {
  const bytes = new Uint8Array(file.size);
  for (const piece of file.pieces) bytes.set(piece.bytes, piece.offset);
  return bytes;
}
