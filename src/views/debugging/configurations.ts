/** Launch configurations: those that are offered, and what F5 does without any. */
import * as vscode from "vscode";
import { BOOT_PROGRAMS, type BootProgram } from "../../boot/programs";

export const DEBUG_TYPE = "pagewalk";

/** A bundled program in one of its variants; without one, as it is. */
export interface Choice {
  readonly program: string;
  readonly settings?: Readonly<Record<string, string>>;
}

/** A configuration for a bundled program. */
export function configurationOf({ program, settings }: Choice): vscode.DebugConfiguration {
  const variant = settings === undefined ? "" : `, ${Object.values(settings).join(" ")}`;
  return {
    type: DEBUG_TYPE,
    request: "launch",
    name: `Boot ${program}${variant}`,
    program,
    ...(settings === undefined ? {} : { settings }),
    stopOnEntry: true,
  };
}

/** Every program in every variant, the usual one first. */
function choices(): (Choice & { readonly about: BootProgram })[] {
  return BOOT_PROGRAMS.flatMap((about) => {
    const setting = about.settings.find(({ name }) => name === about.variants);
    const values = setting?.values ?? [];
    const usual = setting?.default;
    return [...values]
      .sort((a, b) => Number(b === usual) - Number(a === usual))
      .map((value) => ({ program: about.name, settings: { [about.variants]: value }, about }));
  });
}

/** Asks which bundled program to boot; undefined where the user does not want any. */
export async function pickProgram(title: string): Promise<Choice | undefined> {
  const items = choices().map(({ about, ...choice }) => ({
    label: `${about.name} (${Object.values(choice.settings ?? {}).join(" ")})`,
    detail: about.description,
    choice,
  }));
  const picked = await vscode.window.showQuickPick(items, { title, matchOnDetail: true });
  return picked?.choice;
}

export class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  /** What a new launch.json holds, and what the list of automatic configurations offers. */
  provideDebugConfigurations(): vscode.DebugConfiguration[] {
    return choices().map(configurationOf);
  }

  async resolveDebugConfiguration(
    _folder: vscode.WorkspaceFolder | undefined,
    configuration: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    const { program, type } = configuration;
    const settings = settingsOf(configuration);
    if (type && typeof program === "string" && program !== "") return { ...configuration, ...settings };
    // F5 without a launch.json, or a configuration without a program.
    const choice = await pickProgram("Boot which program?");
    return choice === undefined
      ? undefined
      : { ...configurationOf(choice), ...(type ? configuration : {}), ...settings, program: choice.program };
  }
}

/** What the user's settings say of what a configuration leaves open. */
function settingsOf({ reverseMemory }: vscode.DebugConfiguration): { reverseMemory?: number } {
  const memory = vscode.workspace.getConfiguration("pagewalk").get<number>("reverse.memory");
  return reverseMemory !== undefined || memory === undefined ? {} : { reverseMemory: memory };
}
