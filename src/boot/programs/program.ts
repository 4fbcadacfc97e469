/** What a bundled boot program declares. */
import type { LinuxOptions } from "../linuxBootData";
import type { PvhOptions } from "../pvh";
import type { SettingDeclaration, Settings } from "../settings";
import type { XenPvOptions } from "../xenPv";

/** What is to be put into memory and into the image before its entry. */
export interface ProgramPlan {
  /** Physical load address; as linked where there is none. */
  load?: number;
  /** The memory map as text, where the settings give one. */
  e820?: string;
  /** How the loader hands over. */
  handover: Handover;
  /** 32-bit values for the image's data, by symbol. */
  patches: readonly SymbolPatch[];
}

/** A boot protocol, and what it is to hand over besides the command line. */
export type Handover =
  | ({ entry: "linux64" } & Omit<LinuxOptions, "cmdline">)
  | ({ entry: "pvh" } & Omit<PvhOptions, "cmdline">)
  | ({ entry: "xen-pv" } & XenPvOptions);

/** A 32-bit value at an offset from a symbol of the image. */
export interface SymbolPatch {
  symbol: string;
  offset: number;
  value: number;
}

/** A step that a program is known for: it begins with a function. */
export interface Milestone {
  /** Not all images of a program have all. */
  symbol: string;
  /** What begins, in words. */
  text: string;
}

export interface BootProgram {
  /** As in `pagewalk run NAME`. */
  name: string;
  /** One sentence. */
  description: string;
  settings: readonly SettingDeclaration[];
  /** The setting that chooses among kinds of boot: they are offered each for itself. */
  variants: string;
  milestones: readonly Milestone[];
  /** Bytes of RAM unless given. */
  defaultMemory: number;
  /** The command line unless given. */
  defaultCmdline: string;
  /** The image's path under guests/, for these settings. */
  image(settings: Settings): string;
  /**
   * @param ramdisk a file of the user's, instead of a generated one
   * @throws UsageError where settings contradict each other
   */
  plan(settings: Settings, ramdisk: Uint8Array | undefined): ProgramPlan;
}
