/** The event log's rows: the latest first, of the kinds that are asked for, older ones on request. */
import * as vscode from "vscode";
import { EVENTS, type EventCount, type EventRow } from "../../debug/protocol/events";
import { ask } from "../ask";
import { openLine } from "../openLine";
import type { Sessions } from "../sessions";

/** Rows that are asked for at once. */
const PAGE = 500;

/** An event, or the row that loads older ones. */
export type Node =
  | { readonly kind: "event"; readonly row: EventRow }
  | { readonly kind: "more"; readonly before: number };

const ICONS: Readonly<Record<string, string>> = {
  "page-fault": "zap",
  milestone: "milestone",
  hypercall: "call-outgoing",
  "hypercall-rejected": "error",
  pin: "pin",
  "base-pointer": "arrow-right",
  "p2m-free": "trash",
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

export class EventTree implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly messageChanged = new vscode.EventEmitter<void>();
  /** The message is another one. */
  readonly onDidChangeMessage = this.messageChanged.event;
  /** Kinds that are left out. */
  private hidden: ReadonlySet<string> = new Set();
  /** What the view shows while the debuggee runs: what it showed before. */
  private nodes: Node[] = [];
  private shown = PAGE;
  private total = 0;
  private found: readonly EventCount[] = [];
  private readonly listening: vscode.Disposable;

  constructor(private readonly sessions: Sessions) {
    this.listening = sessions.onDidChange(() => {
      // Without a session, and when one starts, there is nothing; while it runs, what there was.
      if (sessions.state === undefined || sessions.state === "starting") this.clear();
      if (sessions.state !== "running") this.refresh();
      else this.messageChanged.fire();
    });
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
    this.messageChanged.dispose();
  }

  /** Kinds that came so far, and how often. */
  get counts(): readonly EventCount[] {
    return this.found;
  }

  isHidden(kind: string): boolean {
    return this.hidden.has(kind);
  }

  /** Leaves out some kinds from now on. */
  hide(kinds: Iterable<string>): void {
    this.hidden = new Set(kinds);
    this.shown = PAGE;
    this.refresh();
  }

  /** Shows older events too. */
  showMore(): void {
    this.shown += PAGE;
    this.refresh();
  }

  /** What the view says above its rows. */
  get message(): string {
    const parts: string[] = [];
    if (this.sessions.state === "running") parts.push("Running. The events are those up to the last stop.");
    const left = this.found.filter(({ kind }) => this.hidden.has(kind));
    const count = left.reduce((sum, { count }) => sum + count, 0);
    if (count > 0)
      parts.push(`${count.toLocaleString("en")} of ${this.total.toLocaleString("en")} filtered out`);
    return parts.join(" · ");
  }

  async getChildren(node?: Node): Promise<Node[]> {
    const { session, state } = this.sessions;
    if (node !== undefined) return [];
    if (session === undefined || state !== "stopped") return this.nodes;
    try {
      const kinds = this.hidden.size === 0 ? {} : { kinds: this.wantedKinds() };
      const { rows, total, more, counts } = await ask(session, EVENTS, { count: this.shown, ...kinds });
      this.nodes = rows.map((row) => ({ kind: "event", row }));
      const last = rows.at(-1);
      if (more && last !== undefined) this.nodes.push({ kind: "more", before: last.number });
      this.total = total;
      this.found = counts;
      this.messageChanged.fire();
      return this.nodes;
    } catch {
      // The session is gone or moves: the next stop asks again.
      return this.nodes;
    }
  }

  getTreeItem(node: Node): vscode.TreeItem {
    return node.kind === "more" ? moreItem(node.before) : eventItem(node.row);
  }

  private wantedKinds(): string[] {
    return Object.keys(ICONS).filter((kind) => !this.hidden.has(kind));
  }

  private clear(): void {
    this.nodes = [];
    this.found = [];
    this.total = 0;
    this.shown = PAGE;
  }

  private refresh(): void {
    this.changed.fire(undefined);
    this.messageChanged.fire();
  }
}

function moreItem(before: number): vscode.TreeItem {
  const item = new vscode.TreeItem("Older events");
  item.id = `more-${before}`;
  item.iconPath = new vscode.ThemeIcon("ellipsis");
  item.command = { command: "pagewalk.moreEvents", title: "Show Older Events" };
  item.accessibilityInformation = { label: "Older events; press Enter to show some" };
  return item;
}

function eventItem(row: EventRow): vscode.TreeItem {
  const item = new vscode.TreeItem(row.label);
  const place = row.symbol ?? row.rip;
  const count = row.instruction.toLocaleString("en");
  item.id = String(row.number);
  item.contextValue = "event";
  item.description = `${count} · ${row.text}`;
  item.tooltip = new vscode.MarkdownString(
    `**${row.label}** at instruction ${count}\n\n${escaped(row.text)}\n\n\`${place}\``,
  );
  item.iconPath = new vscode.ThemeIcon(ICONS[row.kind] ?? "circle-outline");
  item.accessibilityInformation = {
    label: `${row.label} at instruction ${row.instruction}, ${row.text}, in ${place}`,
  };
  if (row.path !== undefined && row.line !== undefined) {
    item.command = openLine(row.path, row.line);
  }
  return item;
}

/** The guest's own text is no markdown. */
function escaped(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, "\\$&");
}
