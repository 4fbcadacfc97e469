/** Commands that go to other moments of the run: who wrote this, when was this mapped, that instruction. */
import * as vscode from "vscode";
import type { ArgumentsOf } from "../../debug/protocol/declare";
import { type MomentAnswer, TIMELINE, TRAVEL, WHEN_MAPPED, WHO_WROTE } from "../../debug/protocol/time";
import { ask } from "../ask";
import type { Node } from "../pageTables/tree";
import type { Sessions } from "../sessions";

/** What the editor hands to a command of the Variables view's context menu. */
interface VariableContext {
  readonly container?: { readonly variablesReference?: number };
  readonly variable?: { readonly name?: string; readonly evaluateName?: string };
}

/** Registers the commands. */
export function registerTime(sessions: Sessions): vscode.Disposable {
  const command = (id: string, run: (session: vscode.DebugSession, given: unknown) => Promise<void>) =>
    vscode.commands.registerCommand(id, async (given: unknown) => {
      const { session, state } = sessions;
      if (session === undefined || state !== "stopped") {
        void vscode.window.showInformationMessage(
          "This is asked of a program that was booted, and stands still.",
        );
        return;
      }
      try {
        await run(session, given);
      } catch (error) {
        void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
      }
    });
  /** The editor has these on its toolbar, and not in its palette. */
  const passedOn = (id: string, to: string) =>
    vscode.commands.registerCommand(id, () => vscode.commands.executeCommand(to));
  return vscode.Disposable.from(
    passedOn("pagewalk.stepBack", "workbench.action.debug.stepBack"),
    passedOn("pagewalk.reverse", "workbench.action.debug.reverseContinue"),
    command("pagewalk.whoWroteEntry", async (session, given) => {
      const row = rowOf(given);
      if (row?.entry === undefined) {
        void vscode.window.showInformationMessage("Select an entry in the Page Tables view first.");
        return;
      }
      const { entry: physical, entrySize: length = 8, name } = row;
      await tellWhoWrote(session, { physical, length, ...(name === undefined ? {} : { label: name }) });
    }),
    command("pagewalk.whoWroteVariable", async (session, given) => {
      const { container, variable } = (given ?? {}) as VariableContext;
      if (variable?.name === undefined) return;
      await tellWhoWrote(
        session,
        variable.evaluateName === undefined
          ? { name: variable.name, variablesReference: container?.variablesReference ?? 0 }
          : { expression: variable.evaluateName },
      );
    }),
    command("pagewalk.whoWrote", async (session, given) => {
      const expression =
        typeof given === "string" ? given : await askFor("Who wrote this place in memory?", EXAMPLES);
      if (expression === undefined) return;
      const isAddress = /^0x[0-9a-f]{1,16}$/i.test(expression);
      await tellWhoWrote(session, isAddress ? { address: expression } : { expression });
    }),
    command("pagewalk.whenMapped", async (session, given) => {
      const start = rowOf(given)?.start;
      const expression =
        start ??
        (typeof given === "string" ? given : await askFor("When was this address mapped?", EXAMPLES));
      if (expression === undefined) return;
      tell(await ask(session, WHEN_MAPPED, { expression }));
    }),
    command("pagewalk.goToInstruction", async (session, given) => {
      const { now, start, end } = await ask(session, TIMELINE, { count: 0 });
      const text =
        typeof given === "number"
          ? String(given)
          : await askFor(`Which instruction, from ${start} to ${end}? Now: ${now}`, String(now));
      if (text === undefined) return;
      if (!/^\d+$/.test(text.trim())) throw new Error(`"${text}" is no number of instructions`);
      await ask(session, TRAVEL, { to: Number(text) });
    }),
  );
}

const EXAMPLES = "early_pgt_faults, init_level4_pgt[511], 0xffff880000010000";

async function tellWhoWrote(
  session: vscode.DebugSession,
  place: ArgumentsOf<typeof WHO_WROTE>,
): Promise<void> {
  tell(await ask(session, WHO_WROTE, place));
}

const PRESENT = "Back to the Present";

/** Tells what was found. Where the debuggee went there, there is a way back, which also has the whole sentence shown. */
function tell({ text, moment }: { readonly text: string; readonly moment?: MomentAnswer }): void {
  if (moment === undefined) {
    void vscode.window.showInformationMessage(text);
    return;
  }
  void vscode.window.showInformationMessage(text, PRESENT).then((chosen) => {
    if (chosen === PRESENT) void vscode.commands.executeCommand("pagewalk.backToPresent");
  });
}

function rowOf(given: unknown) {
  const node = given as Node | undefined;
  return node?.kind === "row" ? node.row : undefined;
}

function askFor(title: string, placeHolder: string): Thenable<string | undefined> {
  return vscode.window.showInputBox({ title, placeHolder });
}
