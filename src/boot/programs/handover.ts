/** What all bundled programs share: how their loader hands over, and how settings reach the image. */
import { FRAME_ORDERS, type FrameOrder } from "../../xen/machineFrames";
import type { SettingDeclaration, Settings } from "../settings";
import type { SymbolPatch } from "./program";

export const LOAD: SettingDeclaration = {
  name: "load",
  type: "address",
  description:
    "Physical load address of the kernel; as linked (16M) unless given. It should be 2 MiB aligned",
};

export const BOOT_PARAMS: SettingDeclaration = {
  name: "boot_params",
  type: "address",
  description: "Physical address of boot_params; 0x10000 unless given",
};

export const CMDLINE_AT: SettingDeclaration = {
  name: "cmdline_at",
  type: "address",
  description: "Physical address of the command line; 0x20000 unless given",
};

export const E820: SettingDeclaration = {
  name: "e820",
  type: "text",
  description: "The memory map, such as 0-0x9fc00:usable,0x100000-8G:usable; that of a PC unless given",
};

/** How machine frames are handed out to a domain. */
export const FRAMES: SettingDeclaration = {
  name: "frames",
  type: "choice",
  values: FRAME_ORDERS,
  default: "shuffled",
  description: "How machine frames follow guest frames: in another order, or at an offset",
};

/** Whether the hypervisor carries out direct writes to L1 tables. */
export const PTWR: SettingDeclaration = {
  name: "ptwr",
  type: "switch",
  default: "on",
  description: "The hypervisor carries out direct writes to L1 tables, as if they had been asked for",
};

/** The part of a plan that the settings of a PC's boot loader decide. */
export function linux64Plan(settings: Settings) {
  const addresses = {
    bootParamsAddress: settings.number("boot_params"),
    cmdlineAddress: settings.number("cmdline_at"),
  };
  return {
    ...given({ load: settings.number("load") }),
    ...givenE820(settings),
    handover: { entry: "linux64" as const, ...given(addresses) },
  };
}

/**
 * How a domain is handed over, as its settings decide.
 * @param p2mOutside whether the P->M list goes where the image wants it
 */
export function xenPvHandover(settings: Settings, p2mOutside = true) {
  return {
    entry: "xen-pv" as const,
    order: settings.text("frames") as FrameOrder,
    p2mOutside,
    ptwr: settings.switch("ptwr"),
  };
}

/** The map that is given, where one is. */
export function givenE820(settings: Settings): { e820?: string } {
  return settings.isGiven("e820") ? { e820: settings.text("e820") } : {};
}

/** A setting that only one variant of a program has a use for. */
export function onlyFor(variant: string, declaration: SettingDeclaration): SettingDeclaration {
  const { description } = declaration;
  return {
    ...declaration,
    description: `${variant}: ${description[0].toLowerCase()}${description.slice(1)}`,
  };
}

/**
 * Writes `struct boot_settings` of an image.
 * @param fields offsets of its 32-bit fields
 * @param values what they are to hold
 */
export function patchBootSettings<K extends string>(
  fields: Readonly<Record<K, number>>,
  values: Readonly<Record<K, number>>,
): SymbolPatch[] {
  return (Object.keys(fields) as K[]).map((field) => ({
    symbol: "boot_settings",
    offset: fields[field],
    value: values[field],
  }));
}

/** Only what is defined. */
export function given<K extends string>(values: Record<K, number | undefined>): Partial<Record<K, number>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<
    Record<K, number>
  >;
}
