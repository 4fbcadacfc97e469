/** The bundled programs and their settings, from their declarations. */
import { BOOT_PROGRAMS, type BootProgram, type SettingDeclaration } from "../boot/boot";
import { bytesInWords } from "../target/values";
import { columns } from "./help";

export function listPrograms(json: boolean): string {
  if (json) return BOOT_PROGRAMS.map((program) => `${JSON.stringify(describe(program))}\n`).join("");
  return BOOT_PROGRAMS.flatMap((program) => [
    `${program.name}: ${program.description}`,
    `  ${bytesInWords(program.defaultMemory)} of RAM unless --memory says otherwise`,
    ...columns(program.settings.map((setting) => [setting.name, settingText(setting)])),
    "",
  ]).join("\n");
}

function describe({ name, description, defaultMemory, defaultCmdline, settings }: BootProgram) {
  return { program: name, description, memory: defaultMemory, cmdline: defaultCmdline, settings };
}

function settingText(setting: SettingDeclaration): string {
  const values = setting.type === "switch" ? ["on", "off"] : (setting.values ?? []);
  const bounds =
    setting.type === "count" && setting.maximum !== undefined
      ? ` ${setting.minimum ?? 0} to ${setting.maximum}.`
      : "";
  const choice = values.length > 0 ? ` ${values.join(" or ")}.` : bounds;
  const given = setting.default === undefined ? "" : ` Default: ${setting.default}.`;
  return `${setting.description}.${choice}${given}`;
}
