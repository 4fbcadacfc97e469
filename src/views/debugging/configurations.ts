/** Launch configurations: those that are offered, and what F5 does without any. */
import * as vscode from "vscode";
import { BOOT_PROGRAMS } from "../../boot/programs";

export const DEBUG_TYPE = "pagewalk";

/** A configuration for a bundled program as it is. */
export function configurationOf(program: string): vscode.DebugConfiguration {
  return { type: DEBUG_TYPE, request: "launch", name: `Boot ${program}`, program, stopOnEntry: true };
}

/** Asks which bundled program to boot; undefined where the user does not want any. */
export async function pickProgram(title: string): Promise<string | undefined> {
  if (BOOT_PROGRAMS.length === 1) return BOOT_PROGRAMS[0].name;
  const picked = await vscode.window.showQuickPick(
    BOOT_PROGRAMS.map(({ name, description }) => ({ label: name, detail: description })),
    { title, matchOnDetail: true },
  );
  return picked?.label;
}

export class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  /** What a new launch.json holds, and what the list of automatic configurations offers. */
  provideDebugConfigurations(): vscode.DebugConfiguration[] {
    return BOOT_PROGRAMS.map(({ name }) => configurationOf(name));
  }

  async resolveDebugConfiguration(
    _folder: vscode.WorkspaceFolder | undefined,
    configuration: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    if (configuration.type !== undefined && configuration.type !== "") {
      if (typeof configuration.program === "string" && configuration.program !== "") return configuration;
      const program = await pickProgram("Boot which program?");
      return program === undefined ? undefined : { ...configurationOf(program), ...configuration, program };
    }
    // F5 without a launch.json.
    const program = await pickProgram("Boot which program?");
    return program === undefined ? undefined : configurationOf(program);
  }
}
