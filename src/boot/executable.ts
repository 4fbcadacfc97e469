/** Which ELF files can be booted: executables whose loadable segments make sense in physical memory. */
import { type ElfImage, type ElfSegment, ET_CORE, ET_DYN, ET_EXEC, ET_REL, PT_LOAD } from "../symbols/elf";
import { ImageError } from "./errors";
import { GIB, hex, PHYSICAL_LIMIT, rangeInWords, sizeInWords } from "./values";

/** A PT_LOAD segment that occupies memory. */
export interface LoadableSegment {
  /** Its index among the program headers, for messages. */
  index: number;
  segment: ElfSegment;
  /** Physical address as linked. */
  physical: number;
}

/** No kernel is as large; keeps corrupt headers from costing time. */
const LARGEST_SEGMENT = 16 * GIB;

const OTHER_TYPES: Readonly<Record<number, string>> = {
  [ET_REL]: "a relocatable object file: link it first",
  [ET_DYN]: "a shared object or position-independent executable: link it with -no-pie",
  [ET_CORE]: "a core dump",
};

/**
 * The segments to load, by physical address.
 * @throws ImageError where the file is no executable, or its segments are missing, corrupt, truncated or overlapping
 */
export function loadableSegments(image: ElfImage): LoadableSegment[] {
  if (image.type !== ET_EXEC) {
    throw new ImageError(`the ELF file is ${OTHER_TYPES[image.type] ?? `of type ${image.type} (e_type)`}`);
  }
  const found = image.segments
    .map((segment, index) => ({ index, segment, physical: Number(segment.physicalAddress) }))
    .filter(({ segment }) => segment.type === PT_LOAD && (segment.memorySize > 0 || segment.fileSize > 0));
  if (found.length === 0) throw new ImageError("the ELF file has no loadable segments (PT_LOAD)");
  for (const loadable of found) checkSegment(image, loadable);
  found.sort((a, b) => a.physical - b.physical);
  for (let i = 1; i < found.length; i++) checkApart(found[i - 1], found[i]);
  return found;
}

function checkSegment(image: ElfImage, { index, segment, physical }: LoadableSegment): void {
  if (segment.fileSize > segment.memorySize) {
    throw new ImageError(
      `segment ${index} has more bytes in the file (p_filesz ${hex(segment.fileSize)}) ` +
        `than in memory (p_memsz ${hex(segment.memorySize)})`,
    );
  }
  if (segment.memorySize > LARGEST_SEGMENT) {
    throw new ImageError(
      `segment ${index} is too large: p_memsz is ${hex(segment.memorySize)}, ` +
        `but at most ${sizeInWords(LARGEST_SEGMENT)} are supported`,
    );
  }
  if (physical + segment.memorySize > PHYSICAL_LIMIT) {
    throw new ImageError(
      `segment ${index} has the physical address (p_paddr) ${hex(segment.physicalAddress)}, ` +
        "which is beyond the 52 bits of a physical address: was the image linked without load addresses (AT)?",
    );
  }
  image.segmentData(segment);
}

function checkApart(a: LoadableSegment, b: LoadableSegment): void {
  if (a.physical + a.segment.memorySize <= b.physical) return;
  throw new ImageError(
    `segment ${a.index} (${rangeInWords(a.physical, a.physical + a.segment.memorySize)}) and segment ${b.index} ` +
      `(${rangeInWords(b.physical, b.physical + b.segment.memorySize)}) overlap in physical memory`,
  );
}
