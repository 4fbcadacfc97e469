/** How an image is entered: what the user asked for, or the best of what the image offers. */
import { type ElfImage, PT_LOAD } from "../symbols/elf";
import { UsageError } from "./errors";
import { pvhEntry } from "./pvh";
import { isXenPv } from "./xenPv";

/** The ways of entering an image. What is not supported yet is refused with a sentence. */
export const ENTRY_METHODS = [
  { name: "auto", supported: true, description: "the best that the image offers" },
  { name: "pvh", supported: true, description: "PVH: 32-bit protected mode, EBX = hvm_start_info" },
  { name: "linux64", supported: true, description: "Linux's 64-bit entry: long mode, RSI = boot_params" },
  {
    name: "linux64-compressed",
    supported: true,
    description: "a bzImage's 64-bit entry: its own decompressor runs first",
  },
  { name: "elf", supported: true, description: "the ELF entry point without a boot protocol" },
  { name: "multiboot", supported: false, description: "Multiboot 1" },
  { name: "xen-pv", supported: true, description: "a paravirtual Xen domain, with a hypervisor below it" },
] as const;

export type EntryMethod = (typeof ENTRY_METHODS)[number]["name"];
/** How an ELF file is entered where there is no hypervisor below it. */
export type ElfEntry = "pvh" | "linux64" | "elf";
export type SupportedEntry = ElfEntry | "linux64-compressed" | "xen-pv";

/** Multiboot 1 headers lie in the first 8 KiB of the file, aligned to 4 bytes. */
const MULTIBOOT_SEARCH = 8192;
const MULTIBOOT_MAGIC = 0x1badb002;
/** __START_KERNEL_map: where Linux on x86-64 is linked to. */
const LINUX_KERNEL_MAP = 0xffffffff80000000n;

/**
 * Chooses the entry method: PVH where the image names such an entry, Linux's 64-bit entry where it is linked like
 * Linux, its ELF entry otherwise.
 * @throws UsageError where the method is not supported or the image has none such, ImageError where the image's notes are corrupt
 */
export function chooseEntry(image: ElfImage, wanted: EntryMethod): ElfEntry | "xen-pv" {
  if (wanted === "linux64-compressed") {
    throw new UsageError("only a bzImage has a decompressor to enter: use --entry linux64");
  }
  if (wanted !== "auto") return requireSupported(wanted);
  if (pvhEntry(image) !== undefined) return "pvh";
  if (hasMultibootHeader(image.bytes)) return requireSupported("multiboot");
  if (isLinuxLike(image)) return "linux64";
  if (isXenPv(image)) return "xen-pv";
  return "elf";
}

function requireSupported(method: Exclude<EntryMethod, "auto" | "linux64-compressed">): ElfEntry | "xen-pv" {
  if (method !== "multiboot") return method;
  throw new UsageError("the Multiboot entry is not supported yet: use --entry pvh, linux64, xen-pv or elf");
}

/** Whether the first 8 KiB hold a Multiboot 1 header: magic, flags and a checksum that makes the sum 0. */
function hasMultibootHeader(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, MULTIBOOT_SEARCH) & ~3;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  for (let at = 0; at + 12 <= length; at += 4) {
    if (view.getUint32(at, true) !== MULTIBOOT_MAGIC) continue;
    if (((MULTIBOOT_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true)) | 0) === 0)
      return true;
  }
  return false;
}

function isLinuxLike(image: ElfImage): boolean {
  return (
    image.class === 64 &&
    image.segments.some((segment) => segment.type === PT_LOAD && segment.virtualAddress >= LINUX_KERNEL_MAP)
  );
}
