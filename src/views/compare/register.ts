/** Comparing two moments: the commands, the view, and exports. */
import * as vscode from "vscode";
import { COMPARE, type ComparedKind } from "../../debug/protocol/compare";
import { TIMELINE } from "../../debug/protocol/time";
import { ask } from "../ask";
import type { Node as EventNode } from "../eventLog/tree";
import type { Sessions } from "../sessions";
import type { Moments } from "../time/moments";
import { exported, FORMATS, type Format } from "./exporting";
import { type CompareNode, ComparisonTree } from "./tree";

/** Registers the view and its commands. */
export function registerComparison(sessions: Sessions, moments: Moments): vscode.Disposable {
  const tree = new ComparisonTree(sessions);
  const view = vscode.window.createTreeView<CompareNode>("pagewalk.comparison", {
    treeDataProvider: tree,
    showCollapseAll: true,
  });
  const command = (id: string, run: (session: vscode.DebugSession, given: unknown) => Promise<void>) =>
    vscode.commands.registerCommand(id, (given: unknown) => moments.told((session) => run(session, given)));
  const compare = async (session: vscode.DebugSession, first: number, second: number) => {
    const answer = await ask(session, COMPARE, { first, second });
    if (answer.cancelled) return;
    tree.show(session, answer);
    await vscode.commands.executeCommand("pagewalk.comparison.focus");
  };
  return vscode.Disposable.from(
    tree,
    view,
    command("pagewalk.setFirstMoment", async (session, given) => {
      moments.first = instructionOf(given) ?? (await now(session));
    }),
    command("pagewalk.compareWithMoment", async (session, given) => {
      const second = instructionOf(given) ?? (await now(session));
      if (moments.first === undefined)
        throw new Error("Set the first moment first: the command is Set First Moment.");
      await compare(session, moments.first, second);
    }),
    command("pagewalk.compareMoments", async (session) => {
      const timeline = await ask(session, TIMELINE, { count: 0 });
      const range = `${timeline.start} to ${timeline.end}`;
      const first = await askInstruction(
        `First moment: an instruction from ${range}`,
        moments.first ?? timeline.start,
      );
      if (first === undefined) return;
      const second = await askInstruction(`Second moment: an instruction from ${range}`, timeline.now);
      if (second === undefined) return;
      moments.first = first;
      await compare(session, first, second);
    }),
    vscode.commands.registerCommand("pagewalk.lookAtMoment", (given: unknown) => {
      const instruction = instructionOf(given);
      if (instruction !== undefined) void moments.look(instruction);
    }),
    vscode.commands.registerCommand("pagewalk.moreCompared", (group: ComparedKind) => tree.showMore(group)),
    vscode.commands.registerCommand("pagewalk.exportComparison", () => moments.told(() => exportAll(tree))),
  );
}

/** The instruction that a command is about: a number, an event, a difference, a place of the timeline. */
function instructionOf(given: unknown): number | undefined {
  if (typeof given === "number") return given;
  if (typeof given !== "object" || given === null) return undefined;
  if ("instruction" in given && typeof given.instruction === "number") return given.instruction;
  const node = given as Partial<EventNode | CompareNode>;
  if (node.kind === "event") return node.row?.instruction;
  if (node.kind === "entry") return node.entry?.who?.instruction;
  if (node.kind === "moment") {
    const { name, answer } = node;
    return name === "First" ? answer?.first.instruction : answer?.second.instruction;
  }
  return undefined;
}

async function now(session: vscode.DebugSession): Promise<number> {
  return (await ask(session, TIMELINE, { count: 0 })).now;
}

async function askInstruction(title: string, value: number): Promise<number | undefined> {
  const text = await vscode.window.showInputBox({
    title,
    value: String(value),
    validateInput: (given) => (/^[\d,]+$/.test(given.trim()) ? undefined : "A number of instructions"),
  });
  return text === undefined ? undefined : Number(text.replaceAll(",", "").trim());
}

async function exportAll(tree: ComparisonTree): Promise<void> {
  const { comparison } = tree;
  if (comparison === undefined) throw new Error("Compare two moments first.");
  const picked = await vscode.window.showQuickPick(
    (Object.keys(FORMATS) as Format[]).flatMap((format) => [
      { label: `${FORMATS[format].label} in a new editor`, format, save: false },
      { label: `${FORMATS[format].label} as a file...`, format, save: true },
    ]),
    { title: "Export the comparison" },
  );
  if (picked === undefined) return;
  const { format, save } = picked;
  const text = exported(format, comparison, await tree.all());
  const { language, extension, label } = FORMATS[format];
  if (!save) {
    const document = await vscode.workspace.openTextDocument({ language, content: text });
    await vscode.window.showTextDocument(document);
    return;
  }
  const { first, second } = comparison;
  const name = `page-tables-${first.instruction}-${second.instruction}.${extension}`;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const file = await vscode.window.showSaveDialog({
    filters: { [label]: [extension] },
    ...(folder === undefined ? {} : { defaultUri: vscode.Uri.joinPath(folder, name) }),
  });
  if (file !== undefined) await vscode.workspace.fs.writeFile(file, new TextEncoder().encode(text));
}
