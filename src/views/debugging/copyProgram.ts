/** *Copy Boot Program to Workspace*: sources, Makefile and launch configuration, to be changed and rebuilt. */
import * as vscode from "vscode";
import { programImage, requireProgram } from "../../boot/programs";
import { type Choice, configurationOf, pickProgram } from "./configurations";

const COMMON = "common";

/**
 * Copies a bundled program into the workspace and opens its main file.
 * @param guests the folder of the bundled programs
 */
export async function copyProgram(guests: vscode.Uri): Promise<void> {
  const choice = await pickProgram("Copy which program?");
  if (choice === undefined) return;
  const { program } = choice;
  const folder = await chooseFolder();
  if (folder === undefined) return;
  const home = vscode.Uri.joinPath(folder, "boot-programs");
  if (!(await mayWrite(vscode.Uri.joinPath(home, program)))) return;
  await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: `Copying ${program}` },
    async () => {
      for (const name of [program, COMMON]) await copyFolder(guests, home, name);
      await addConfiguration(folder, choice);
    },
  );
  const readme = vscode.Uri.joinPath(home, program, "README.md");
  await vscode.window.showTextDocument(await mainFile(home, program, readme));
  void vscode.window.showInformationMessage(
    `${program} is in boot-programs/${program}. Change it, run make there, and start "Boot my ${program}" with F5.`,
  );
}

async function chooseFolder(): Promise<vscode.Uri | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  if (folders.length === 1) return folders[0].uri;
  if (folders.length > 1) return (await vscode.window.showWorkspaceFolderPick())?.uri;
  const open = "Open a Folder";
  const answer = await vscode.window.showWarningMessage(
    "There is no folder to copy to: open one first.",
    open,
  );
  if (answer === open) await vscode.commands.executeCommand("vscode.openFolder");
  return undefined;
}

async function mayWrite(target: vscode.Uri): Promise<boolean> {
  try {
    await vscode.workspace.fs.stat(target);
  } catch {
    return true;
  }
  const replace = "Replace";
  const answer = await vscode.window.showWarningMessage(
    `${vscode.workspace.asRelativePath(target)} is there already. Replace its files?`,
    { modal: true },
    replace,
  );
  return answer === replace;
}

/** Everything but what a build leaves behind. */
async function copyFolder(guests: vscode.Uri, home: vscode.Uri, name: string): Promise<void> {
  const from = vscode.Uri.joinPath(guests, name);
  const to = vscode.Uri.joinPath(home, name);
  for (const [file, type] of await vscode.workspace.fs.readDirectory(from)) {
    if (type !== vscode.FileType.File || file.endsWith(".o")) continue;
    const bytes = await vscode.workspace.fs.readFile(vscode.Uri.joinPath(from, file));
    await vscode.workspace.fs.writeFile(vscode.Uri.joinPath(to, file), bytes);
  }
}

async function mainFile(home: vscode.Uri, program: string, otherwise: vscode.Uri): Promise<vscode.Uri> {
  const main = vscode.Uri.joinPath(home, program, "main.c");
  return vscode.workspace.fs.stat(main).then(
    () => main,
    () => otherwise,
  );
}

/** Adds a launch configuration that boots the copy, unless there is one of its name. */
async function addConfiguration(folder: vscode.Uri, choice: Choice): Promise<void> {
  const { program } = choice;
  const name = `Boot my ${program}`;
  const launch = vscode.workspace.getConfiguration("launch", folder);
  const existing = launch.get<vscode.DebugConfiguration[]>("configurations") ?? [];
  if (existing.some((configuration) => configuration.name === name)) return;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the editor replaces it in launch.json
  const here = "${workspaceFolder}/boot-programs";
  const image = programImage(requireProgram(program), new Map(Object.entries(choice.settings ?? {})));
  const configuration = {
    ...configurationOf(choice),
    name,
    image: `${here}/${image}`,
    sourceFileMap: { "/pagewalk/guests": here },
  };
  await launch.update(
    "configurations",
    [...existing, configuration],
    vscode.ConfigurationTarget.WorkspaceFolder,
  );
}
