/** A row of the TLB view as a tree item: what it shows, what menus ask it for, and what a screen reader says. */
import * as vscode from "vscode";
import type { TlbRow } from "../../debug/protocol/tlb";

const ICONS: Readonly<Record<TlbRow["kind"], string>> = {
  group: "layers",
  page: "file",
  run: "files",
  structure: "table",
};

/** The item of a row. */
export function rowItem(row: TlbRow): vscode.TreeItem {
  const collapsible = !row.expandable
    ? vscode.TreeItemCollapsibleState.None
    : row.kind === "group"
      ? vscode.TreeItemCollapsibleState.Expanded
      : vscode.TreeItemCollapsibleState.Collapsed;
  const item = new vscode.TreeItem(row.label, collapsible);
  item.id = row.id;
  item.description = row.description;
  item.tooltip = new vscode.MarkdownString(row.tooltip);
  item.iconPath =
    row.stale === true && row.kind !== "group"
      ? new vscode.ThemeIcon("warning", new vscode.ThemeColor("problemsWarningIcon.foreground"))
      : new vscode.ThemeIcon(ICONS[row.kind]);
  item.contextValue = contextOf(row);
  item.accessibilityInformation = { label: `${row.label}, ${row.description}` };
  return item;
}

/** What menus ask for: "cached", "cached stale", "group". */
function contextOf({ kind, stale }: TlbRow): string {
  if (kind === "group") return kind;
  return stale === true ? "cached stale" : "cached";
}

/** The item that shows more rows of a parent. */
export function moreItem(left: number, command: vscode.Command): vscode.TreeItem {
  const label = `${left.toLocaleString("en")} more rows`;
  const item = new vscode.TreeItem(label);
  item.iconPath = new vscode.ThemeIcon("ellipsis");
  item.command = command;
  item.accessibilityInformation = { label: `${label}; press Enter to show some` };
  return item;
}
