/** The bundled boot programs: what is declared here is what command line and editor offer. */
import { UsageError } from "./errors";
import { directMap } from "./programs/directMap";
import { earlyFault } from "./programs/earlyFault";
import { i386Paravirt } from "./programs/i386Paravirt";
import type { BootProgram } from "./programs/program";
import { xenP2m } from "./programs/xenP2m";
import { readSettings, type SettingTexts } from "./settings";

export type { BootProgram } from "./programs/program";

export const BOOT_PROGRAMS: readonly BootProgram[] = [earlyFault, i386Paravirt, directMap, xenP2m];

/** The path under guests/ of the image that a program uses with these settings. @throws UsageError */
export function programImage(program: BootProgram, settings: SettingTexts): string {
  return program.image(readSettings(program.name, program.settings, settings));
}

/** undefined where there is no program of that name. */
export function findProgram(name: string): BootProgram | undefined {
  return BOOT_PROGRAMS.find((program) => program.name === name);
}

/** @throws UsageError where there is no program of that name */
export function requireProgram(name: string): BootProgram {
  const program = findProgram(name);
  if (program !== undefined) return program;
  const names = BOOT_PROGRAMS.map((known) => known.name).join(", ");
  throw new UsageError(`there is no bundled program "${name}"; there are ${names}`);
}
