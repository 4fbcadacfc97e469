/** The event log: what happened in this boot, the latest first. */
import * as vscode from "vscode";
import { EVENTS, type EventRow } from "../../debug/protocol/events";
import { ask } from "../ask";
import type { Sessions } from "../sessions";

const ICONS: Readonly<Record<string, string>> = {
  "page-fault": "zap",
  reset: "clear-all",
  switchover: "arrow-swap",
  "cr3-load": "arrow-right",
  "paging-mode": "settings-gear",
  "table-write": "edit",
  "tlb-flush": "trash",
  "stale-tlb": "warning",
  exception: "error",
  "triple-fault": "flame",
  unimplemented: "circle-slash",
  halt: "debug-stop",
  serial: "output",
  exit: "pass",
};

class EventTree implements vscode.TreeDataProvider<EventRow>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly listening: vscode.Disposable;

  constructor(private readonly sessions: Sessions) {
    this.listening = sessions.onDidChange(() => this.changed.fire(undefined));
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
  }

  async getChildren(row?: EventRow): Promise<EventRow[]> {
    const { session, state } = this.sessions;
    if (row !== undefined || session === undefined || state !== "stopped") return [];
    try {
      return [...(await ask(session, EVENTS, {})).rows];
    } catch {
      return [];
    }
  }

  getTreeItem(row: EventRow): vscode.TreeItem {
    const item = new vscode.TreeItem(row.label);
    const place = row.symbol ?? row.rip;
    item.id = String(row.number);
    item.description = `${row.instruction.toLocaleString("en")} · ${row.text}`;
    item.tooltip = new vscode.MarkdownString(
      `**${row.label}** at instruction ${row.instruction.toLocaleString("en")}\n\n${row.text}\n\n\`${place}\``,
    );
    item.iconPath = new vscode.ThemeIcon(ICONS[row.kind] ?? "circle-outline");
    item.accessibilityInformation = {
      label: `${row.label} at instruction ${row.instruction}, ${row.text}, in ${place}`,
    };
    if (row.path !== undefined && row.line !== undefined) {
      const at = new vscode.Position(row.line - 1, 0);
      const selection = new vscode.Range(at, at);
      item.command = {
        command: "vscode.open",
        title: "Open the Source Line",
        arguments: [
          vscode.Uri.file(row.path),
          { selection, preserveFocus: true } satisfies vscode.TextDocumentShowOptions,
        ],
      };
    }
    return item;
  }
}

/** Registers the view. */
export function registerEventLog(sessions: Sessions): vscode.Disposable {
  const tree = new EventTree(sessions);
  return vscode.Disposable.from(
    tree,
    vscode.window.createTreeView("pagewalk.events", { treeDataProvider: tree }),
  );
}
