/** The debugger in the editor: adapter, configurations, and the commands that start it. */
import * as vscode from "vscode";
import { ConfigurationProvider, configurationOf, DEBUG_TYPE, pickProgram } from "./configurations";
import { copyProgram } from "./copyProgram";
import { WorkerAdapter } from "./workerAdapter";

/** Registers everything; what is returned takes it back. */
export function registerDebugging(context: vscode.ExtensionContext): vscode.Disposable {
  const worker = context.asAbsolutePath("dist/debugWorker.js");
  const guests = vscode.Uri.joinPath(context.extensionUri, "guests");
  const provider = new ConfigurationProvider();
  return vscode.Disposable.from(
    vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
      createDebugAdapterDescriptor: () =>
        new vscode.DebugAdapterInlineImplementation(new WorkerAdapter(worker)),
    }),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, provider),
    vscode.debug.registerDebugConfigurationProvider(
      DEBUG_TYPE,
      provider,
      vscode.DebugConfigurationProviderTriggerKind.Dynamic,
    ),
    vscode.commands.registerCommand("pagewalk.debugProgram", async (name?: unknown) => {
      const choice = typeof name === "string" ? { program: name } : await pickProgram("Boot which program?");
      if (choice === undefined) return;
      await vscode.debug.startDebugging(vscode.workspace.workspaceFolders?.[0], configurationOf(choice));
    }),
    vscode.commands.registerCommand("pagewalk.copyProgram", () => copyProgram(guests)),
  );
}
