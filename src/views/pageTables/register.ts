/** The Page Tables views and their commands. */
import * as vscode from "vscode";
import { FILTERS, type Filter, type TableRow, UNWATCH, WATCH } from "../../debug/protocol/tables";
import { WALK } from "../../debug/protocol/walk";
import { ask } from "../ask";
import type { Sessions } from "../sessions";
import { type Node, TablesTree } from "./tree";

/** The tree stands in a container of its own and in Run and Debug. */
const VIEWS = ["pagewalk.tables", "pagewalk.debugTables"];

/** Registers views and commands. */
export function registerPageTables(sessions: Sessions): vscode.Disposable {
  const tree = new TablesTree(sessions);
  const views = VIEWS.map((id) =>
    vscode.window.createTreeView<Node>(id, { treeDataProvider: tree, showCollapseAll: true }),
  );
  const describe = () => {
    for (const view of views) view.message = tree.message ?? "";
  };
  const reveal = async (place: Parameters<TablesTree["pathTo"]>[0], focus: boolean) => {
    const path = await tree.pathTo(place);
    const node = path.at(-1);
    if (node === undefined) return;
    const view = views.find(({ visible }) => visible) ?? views[0];
    await view.reveal(node, { select: true, focus, expand: false });
  };
  const onRow =
    (action: (node: Extract<Node, { kind: "row" }>, session: vscode.DebugSession) => Thenable<void> | void) =>
    async (given?: Node) => {
      const node = given ?? views.flatMap(({ selection }) => selection)[0];
      const { session } = sessions;
      if (node?.kind !== "row" || session === undefined) {
        void vscode.window.showInformationMessage("Select an entry in the Page Tables view first.");
        return;
      }
      await shown(async () => action(node, session));
    };
  const command = (id: string, run: (...args: never[]) => unknown) =>
    vscode.commands.registerCommand(id, run);
  return vscode.Disposable.from(
    tree,
    ...views,
    sessions.onDidChange(describe),
    sessions.onDidStop(({ reason, text }) => {
      // To the level at which the access faulted, without taking the focus away.
      const address = reason === "exception" ? /^#PF \S.*? (0x[0-9a-f]+):/.exec(text ?? "")?.[1] : undefined;
      const wanted = vscode.workspace.getConfiguration("pagewalk").get<boolean>("tables.revealFault", true);
      if (wanted && address !== undefined && views.some(({ visible }) => visible))
        void shown(() => reveal({ address }, false));
    }),
    command("pagewalk.loadMore", (node: Node) => tree.loadMore(node)),
    command("pagewalk.refreshTables", () => tree.refresh()),
    command("pagewalk.goToTable", async (given?: unknown) => {
      const place = typeof given === "string" ? given : await askForPlace(sessions, "Go to the entry of");
      if (place === undefined) return;
      await shown(() =>
        reveal(/^0x[0-9a-f]{1,16}$/i.test(place) ? { address: place } : { symbol: place }, true),
      );
    }),
    command(
      "pagewalk.copyEntry",
      onRow(({ row }) => vscode.env.clipboard.writeText(row.value ?? row.description)),
    ),
    command(
      "pagewalk.copyAddress",
      onRow(({ row }) => vscode.env.clipboard.writeText(row.start ?? row.entry ?? "")),
    ),
    command(
      "pagewalk.watchEntry",
      onRow(async ({ row }, session) => {
        if (row.entry === undefined || row.entrySize === undefined) return;
        await ask(session, WATCH, {
          physical: row.entry,
          length: row.entrySize,
          label: watchLabel(row),
        });
        tree.refresh();
        void vscode.window.setStatusBarMessage(
          `$(eye) Watching ${watchLabel(row)}: the run stops when it changes`,
          5000,
        );
      }),
    ),
    command(
      "pagewalk.unwatchEntry",
      onRow(async ({ row }, session) => {
        if (row.entry === undefined || row.entrySize === undefined) return;
        await ask(session, UNWATCH, { physical: row.entry, length: row.entrySize });
        tree.refresh();
      }),
    ),
    command(
      "pagewalk.showInMap",
      onRow(
        ({ row }) => void vscode.commands.executeCommand("pagewalk.showMemoryMap", row.physical, row.start),
      ),
    ),
    command(
      "pagewalk.viewTable",
      onRow(({ row }) => void vscode.commands.executeCommand("pagewalk.viewMemory", row.physical)),
    ),
    command("pagewalk.walkAddress", async (given?: unknown) => {
      const { session } = sessions;
      const expression =
        typeof given === "string" ? given : await askForPlace(sessions, "Walk the address of");
      if (expression === undefined || session === undefined) return;
      await shown(() => showWalk(session, expression, (address) => reveal({ address }, true)));
    }),
    command("pagewalk.filterTables", async () => {
      const picked = await vscode.window.showQuickPick(
        Object.entries(FILTERS).map(([filter, label]) => ({
          label,
          filter: filter as Filter,
          picked: filter === tree.filter,
        })),
        { title: "Which pages does the tree show?" },
      );
      if (picked === undefined) return;
      tree.setFilter(picked.filter);
      describe();
    }),
  );
}

/** "PML4E 272 (early_level4_pgt[272])" */
function watchLabel({ label, name }: TableRow): string {
  return name === undefined ? label : `${label} (${name})`;
}

/** The steps of a walk to choose from: choosing one shows its entry in the tree. */
async function showWalk(
  session: vscode.DebugSession,
  expression: string,
  reveal: (address: string) => Promise<void>,
): Promise<void> {
  const { steps, outcome } = await ask(session, WALK, { expression });
  const items = [
    ...steps.map(({ text }) => {
      const at = text.indexOf(": ");
      return { label: text.slice(0, at), detail: text.slice(at + 2) };
    }),
    { label: outcome.slice(0, outcome.indexOf(": ")), detail: outcome.slice(outcome.indexOf(": ") + 2) },
  ];
  const picked = await vscode.window.showQuickPick(items, {
    title: `Walk of ${expression}`,
    matchOnDetail: true,
  });
  const address = /0x[0-9a-f]{1,16}/.exec(outcome)?.[0];
  if (picked !== undefined && address !== undefined) await reveal(address);
}

async function askForPlace(sessions: Sessions, title: string): Promise<string | undefined> {
  if (sessions.session === undefined) {
    void vscode.window.showInformationMessage(
      "Boot a program first: its page tables are asked for in a debug session.",
    );
    return undefined;
  }
  return vscode.window.showInputBox({
    title,
    prompt: "A linear address, a symbol, a register or any expression",
    placeHolder: "0xffff880000010000, early_level4_pgt, $rip",
    validateInput: (text) => (text.trim() === "" ? "Give an address" : undefined),
  });
}

/** What the adapter cannot answer, it says in a sentence. */
async function shown(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}
