/** How an image is entered: what the user asked for, or the best of what the image offers. */
import { type ElfImage, PT_LOAD } from "../symbols/elf";
import { UsageError } from "./errors";
import { hasMultibootHeader } from "./multiboot";
import { pvhEntry } from "./pvh";
import { isXenPv } from "./xenPv";

/** The ways of entering an image. */
export const ENTRY_METHODS = [
  { name: "auto", description: "the best that the image offers" },
  { name: "pvh", description: "PVH: 32-bit protected mode, EBX = hvm_start_info" },
  { name: "linux64", description: "Linux's 64-bit entry: long mode, RSI = boot_params" },
  {
    name: "linux32-compressed",
    description: "a bzImage's 32-bit entry, as its setup code leaves it: its own decompressor runs first",
  },
  { name: "linux64-compressed", description: "a bzImage's 64-bit entry: its own decompressor runs first" },
  { name: "elf", description: "the ELF entry point without a boot protocol" },
  { name: "multiboot", description: "Multiboot 1: 32-bit protected mode, EBX = Multiboot information" },
  { name: "xen-pv", description: "a paravirtual Xen domain, with a hypervisor below it" },
] as const;

export type EntryMethod = (typeof ENTRY_METHODS)[number]["name"];
/** How an ELF file is entered where there is no hypervisor below it. */
export type ElfEntry = "pvh" | "linux64" | "elf" | "multiboot";
/** Those of a bzImage, behind which its own decompressor runs. */
export type CompressedEntry = "linux32-compressed" | "linux64-compressed";
export type SupportedEntry = ElfEntry | CompressedEntry | "xen-pv";

/** __START_KERNEL_map: where Linux on x86-64 is linked to. */
const LINUX_KERNEL_MAP = 0xffffffff80000000n;

/** Whether an entry method is one of a bzImage's own. */
export function isCompressedEntry(entry: string): entry is CompressedEntry {
  return entry === "linux32-compressed" || entry === "linux64-compressed";
}

/**
 * Chooses the entry method: PVH where the image names such an entry, Multiboot where it has such a header, Linux's
 * 64-bit entry where it is linked like Linux, a paravirtual domain where its notes say so, its ELF entry otherwise.
 * @throws UsageError where the image has no such entry, ImageError where its notes are corrupt
 */
export function chooseEntry(image: ElfImage, wanted: EntryMethod): ElfEntry | "xen-pv" {
  if (isCompressedEntry(wanted)) {
    throw new UsageError("only a bzImage has a decompressor to enter: use --entry linux64");
  }
  if (wanted !== "auto") return wanted;
  if (pvhEntry(image) !== undefined) return "pvh";
  if (hasMultibootHeader(image.bytes)) return "multiboot";
  if (isLinuxLike(image)) return "linux64";
  if (isXenPv(image)) return "xen-pv";
  return "elf";
}

function isLinuxLike(image: ElfImage): boolean {
  return (
    image.class === 64 &&
    image.segments.some((segment) => segment.type === PT_LOAD && segment.virtualAddress >= LINUX_KERNEL_MAP)
  );
}
