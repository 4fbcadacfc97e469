/** The Page Tables tree: rows of the adapter as tree items; children are asked for when a row is opened, in pages. */
import * as vscode from "vscode";
import type { ArgumentsOf } from "../../debug/protocol/declare";
import { FILTERS, type Filter, REVEAL, TABLES, type TableRow } from "../../debug/protocol/tables";
import { ask } from "../ask";
import type { Sessions } from "../sessions";

/** Rows that are asked for at once. */
const PAGE = 200;

/** A row of the tree, or the one that loads the rows behind it. */
export type Node =
  | { readonly kind: "row"; readonly row: TableRow; readonly parent: Node | undefined }
  | { readonly kind: "more"; readonly parent: Node; readonly from: number; readonly left: number };

type RowNode = Extract<Node, { kind: "row" }>;

const ICONS: Readonly<Record<TableRow["kind"], string>> = {
  root: "circuit-board",
  table: "table",
  page: "file",
  run: "files",
  "not-present": "circle-slash",
  malformed: "error",
  absent: "dash",
  message: "info",
  "other-format": "arrow-swap",
};

const MARKS = {
  added: { color: "gitDecoration.addedResourceForeground", letter: "A" },
  changed: { color: "gitDecoration.modifiedResourceForeground", letter: "M" },
  cleared: { color: "gitDecoration.deletedResourceForeground", letter: "D" },
} as const;

export class TablesTree implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<Node | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  filter: Filter = "none";
  /** How many rows of a table are shown, where more were asked for. */
  private readonly shown = new Map<string, number>();
  private readonly listening: vscode.Disposable;

  constructor(private readonly sessions: Sessions) {
    this.listening = sessions.onDidChange(() => {
      if (sessions.state !== "running") this.refresh();
    });
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
  }

  refresh(): void {
    this.changed.fire(undefined);
  }

  setFilter(filter: Filter): void {
    this.filter = filter;
    this.refresh();
  }

  /** Shows more rows of a table. */
  loadMore(node: Node): void {
    if (node.kind !== "more" || node.parent.kind !== "row") return;
    this.shown.set(node.parent.row.id, node.from + PAGE);
    this.changed.fire(node.parent);
  }

  async getChildren(node?: Node): Promise<Node[]> {
    const { session, state } = this.sessions;
    if (session === undefined || state === undefined || state === "starting") return [];
    if (node?.kind === "more") return [];
    const count = node === undefined ? 1 : (this.shown.get(node.row.id) ?? PAGE);
    try {
      const { rows, total } = await ask(session, TABLES, {
        ...(node === undefined ? {} : { parent: node.row.id }),
        count,
        filter: this.filter,
      });
      const nodes: Node[] = rows.map((row) => ({ kind: "row", row, parent: node }));
      if (node !== undefined && total > count) {
        nodes.push({ kind: "more", parent: node, from: count, left: total - count });
      }
      return nodes;
    } catch {
      // The table is gone, or the session; the next stop asks for what is there then.
      return [];
    }
  }

  getParent(node: Node): Node | undefined {
    return node.parent;
  }

  getTreeItem(node: Node): vscode.TreeItem {
    return node.kind === "more" ? moreItem(node) : rowItem(node);
  }

  /**
   * The nodes from the root to the deepest entry of a place; as many rows are loaded as it takes to show them.
   * @throws an Error with the adapter's sentence
   */
  async pathTo(place: Omit<ArgumentsOf<typeof REVEAL>, "filter">): Promise<RowNode[]> {
    const { session } = this.sessions;
    if (session === undefined) return [];
    const { rows, positions } = await ask(session, REVEAL, { ...place, filter: this.filter });
    const nodes: RowNode[] = [];
    let grown = false;
    for (const [i, row] of rows.entries()) {
      const parent = nodes.at(-1);
      nodes.push({ kind: "row", row, parent });
      if (parent === undefined) continue;
      const { id } = parent.row;
      if (positions[i] < (this.shown.get(id) ?? PAGE)) continue;
      this.shown.set(id, (Math.floor(positions[i] / PAGE) + 1) * PAGE);
      grown = true;
    }
    if (grown) this.refresh();
    return nodes;
  }

  /** What the view says above its rows. */
  get message(): string | undefined {
    if (this.sessions.state === "running") return "Running. The tables are shown as they were.";
    return this.filter === "none" ? undefined : `Filter: ${FILTERS[this.filter]}`;
  }
}

function moreItem(node: Extract<Node, { kind: "more" }>): vscode.TreeItem {
  const item = new vscode.TreeItem(`${node.left} more entries`);
  item.iconPath = new vscode.ThemeIcon("ellipsis");
  item.command = { command: "pagewalk.loadMore", title: "Show More Entries", arguments: [node] };
  item.accessibilityInformation = { label: `${node.left} more entries; press Enter to show some` };
  return item;
}

function rowItem({ row }: RowNode): vscode.TreeItem {
  const collapsible = !row.expandable
    ? vscode.TreeItemCollapsibleState.None
    : row.kind === "root"
      ? vscode.TreeItemCollapsibleState.Expanded
      : vscode.TreeItemCollapsibleState.Collapsed;
  const item = new vscode.TreeItem(row.label, collapsible);
  const mark = row.mark === undefined ? undefined : MARKS[row.mark];
  item.id = row.id;
  item.description = `${row.mark === undefined ? "" : `${row.mark} · `}${row.description}`;
  item.tooltip = new vscode.MarkdownString(row.tooltip);
  const icon = row.watched === true ? "eye" : row.mark === undefined ? ICONS[row.kind] : MARK_ICONS[row.mark];
  const color =
    mark?.color ?? (row.changedBelow === true ? "gitDecoration.modifiedResourceForeground" : undefined);
  item.iconPath = new vscode.ThemeIcon(icon, color === undefined ? undefined : new vscode.ThemeColor(color));
  item.contextValue = contextOf(row);
  item.accessibilityInformation = { label: spoken(row) };
  return item;
}

const MARK_ICONS = { added: "diff-added", changed: "diff-modified", cleared: "diff-removed" } as const;

/** What menus ask for: "entry watched", "entry table", ... */
function contextOf(row: TableRow): string {
  const isEntry = row.entry !== undefined && row.kind !== "root";
  const words = [isEntry ? "entry" : row.kind];
  if (row.kind === "table") words.push("table");
  if (row.watched === true) words.push("watched");
  if (row.physical !== undefined) words.push("mapped");
  return words.join(" ");
}

function spoken(row: TableRow): string {
  const below = row.changedBelow === true ? ", contains changes" : "";
  const watched = row.watched === true ? ", watched" : "";
  return `${row.label}, ${row.mark === undefined ? "" : `${row.mark}, `}${row.description}${below}${watched}`;
}
