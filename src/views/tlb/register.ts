/** The TLB view and its commands. */
import * as vscode from "vscode";
import { FIND_STALE_USE, TLB_FILTERS, type TlbFilter, type TlbRow } from "../../debug/protocol/tlb";
import { ask } from "../ask";
import type { Sessions } from "../sessions";
import type { TlbChoice } from "./message";
import { type Node, TlbTree } from "./tree";

/** Registers view and commands. */
export function registerTlb(sessions: Sessions): vscode.Disposable {
  const tree = new TlbTree(sessions);
  const view = vscode.window.createTreeView<Node>("pagewalk.tlb", {
    treeDataProvider: tree,
    showCollapseAll: true,
  });
  const onRow = (action: (row: TlbRow) => unknown) => async (given?: Node) => {
    const node = given ?? view.selection[0];
    if (node?.kind === "row" && node.row.kind !== "group") await action(node.row);
    else void vscode.window.showInformationMessage("Select an entry in the TLB view first.");
  };
  const command = (id: string, run: (...args: never[]) => unknown) =>
    vscode.commands.registerCommand(id, run);
  const run = vscode.commands.executeCommand;
  return vscode.Disposable.from(
    tree,
    view,
    tree.onDidChangeMessage(() => {
      view.message = tree.message;
    }),
    command("pagewalk.moreTlb", (node: Node) => tree.showMore(node)),
    command("pagewalk.filterTlb", async () => {
      const choice = await chooseFilter(tree);
      if (choice !== undefined) tree.choose(choice);
    }),
    command("pagewalk.findStaleUse", () => findStaleUse(sessions)),
    command(
      "pagewalk.tlbShowInTables",
      onRow(({ start }) => run("pagewalk.goToTable", start)),
    ),
    command(
      "pagewalk.tlbShowInMap",
      onRow(({ physical, start }) => run("pagewalk.showMemoryMap", physical, start)),
    ),
    command(
      "pagewalk.tlbWalk",
      onRow(({ start }) => run("pagewalk.walkAddress", start)),
    ),
    command("pagewalk.tlbWhoMadeStale", onRow(showCause)),
  );
}

async function findStaleUse({ session, state }: Sessions): Promise<void> {
  if (session === undefined || state !== "stopped") {
    void vscode.window.showInformationMessage(
      session === undefined
        ? "Boot a program first: the search goes on from where it stands."
        : "The program is running: pause it first, and the search goes on from there.",
    );
    return;
  }
  try {
    await ask(session, FIND_STALE_USE, {});
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}

const SHOW_ENTRY = "Show in Page Tables";

async function showCause({ label, stale, cause, start }: TlbRow): Promise<void> {
  if (stale !== true) {
    void vscode.window.showInformationMessage(
      `${label} is not stale: it agrees with the tables, or was not compared.`,
    );
    return;
  }
  if (cause === undefined) {
    void vscode.window.showInformationMessage(
      `${label} was made stale by a change that is not recorded any more.`,
    );
    return;
  }
  const { text, path, line } = cause;
  void vscode.window.showInformationMessage(`${label} was ${text}.`, SHOW_ENTRY).then((picked) => {
    if (picked !== undefined) void vscode.commands.executeCommand("pagewalk.goToTable", start);
  });
  if (path === undefined || line === undefined) return;
  const at = new vscode.Position(line - 1, 0);
  await vscode.window.showTextDocument(vscode.Uri.file(path), { selection: new vscode.Range(at, at) });
}

async function chooseFilter({ choice, pcids }: TlbTree): Promise<TlbChoice | undefined> {
  type Item = vscode.QuickPickItem & { readonly choice?: TlbChoice };
  const current = (same: boolean) => (same ? { description: "now" } : {});
  const plain = choice.pcid === undefined && choice.at === undefined;
  const items: Item[] = [
    ...Object.entries(TLB_FILTERS).map(([filter, label]) => ({
      label,
      choice: { filter: filter as TlbFilter },
      ...current(plain && filter === choice.filter),
    })),
    ...pcids.map((pcid) => ({
      label: `PCID ${pcid}, and global ones`,
      choice: { filter: "none" as const, pcid },
      ...current(pcid === choice.pcid),
    })),
    { label: "What translates an address...", ...current(choice.at !== undefined) },
  ];
  const picked = await vscode.window.showQuickPick(items, { title: "Which entries does the TLB view show?" });
  if (picked === undefined || picked.choice !== undefined) return picked?.choice;
  const at = await vscode.window.showInputBox({
    title: "Show what translates",
    prompt: "A linear address, a symbol, a register or any expression",
    placeHolder: "0xffff880000010000, $rip",
    validateInput: (text) => (text.trim() === "" ? "Give an address" : undefined),
  });
  return at === undefined ? undefined : { filter: "none", at };
}
