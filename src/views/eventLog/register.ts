/** The event log: what happened in this boot, the latest first. */
import * as vscode from "vscode";
import type { Sessions } from "../sessions";
import { EventTree, type Node } from "./tree";

/** Registers the view and its commands. */
export function registerEventLog(sessions: Sessions): vscode.Disposable {
  const tree = new EventTree(sessions);
  const view = vscode.window.createTreeView<Node>("pagewalk.events", { treeDataProvider: tree });
  return vscode.Disposable.from(
    tree,
    view,
    tree.onDidChangeMessage(() => {
      view.message = tree.message;
    }),
    vscode.commands.registerCommand("pagewalk.moreEvents", () => tree.showMore()),
    vscode.commands.registerCommand("pagewalk.filterEvents", () => chooseKinds(tree)),
  );
}

async function chooseKinds(tree: EventTree): Promise<void> {
  if (tree.counts.length === 0) {
    void vscode.window.showInformationMessage("There are no events yet: boot a program first.");
    return;
  }
  const items = tree.counts.map(({ kind, label, count }) => ({
    eventKind: kind,
    label,
    description: count.toLocaleString("en"),
    picked: !tree.isHidden(kind),
  }));
  const picked = await vscode.window.showQuickPick(items, {
    title: "Which events does the log show?",
    canPickMany: true,
  });
  if (picked === undefined) return;
  const wanted = new Set(picked.map(({ eventKind }) => eventKind));
  tree.hide(items.map(({ eventKind }) => eventKind).filter((kind) => !wanted.has(kind)));
}
