/** The rows of a comparison: by what became of the entries, a page at a time. */
import * as vscode from "vscode";
import {
  COMPARED,
  COMPARED_KINDS,
  type CompareAnswer,
  type ComparedEntry,
  type ComparedKind,
} from "../../debug/protocol/compare";
import { ask } from "../ask";
import { openLine } from "../openLine";
import type { Sessions } from "../sessions";
import { momentText } from "./exporting";

/** Rows that are asked for at once. */
const PAGE = 200;

export type CompareNode =
  | { readonly kind: "moment"; readonly name: "First" | "Second"; readonly answer: CompareAnswer }
  | { readonly kind: "group"; readonly group: ComparedKind; readonly count: number }
  | { readonly kind: "entry"; readonly entry: ComparedEntry }
  | { readonly kind: "more"; readonly group: ComparedKind }
  | { readonly kind: "remark"; readonly text: string };

/** The editor's names, icons and colours of what became of an entry. */
const KINDS: Readonly<Record<ComparedKind, { label: string; icon: string; colour: string }>> = {
  added: { label: "Added", icon: "diff-added", colour: "gitDecoration.addedResourceForeground" },
  changed: { label: "Changed", icon: "diff-modified", colour: "gitDecoration.modifiedResourceForeground" },
  cleared: { label: "Cleared", icon: "diff-removed", colour: "gitDecoration.deletedResourceForeground" },
  moved: { label: "Moved", icon: "diff-renamed", colour: "gitDecoration.renamedResourceForeground" },
};

export class ComparisonTree implements vscode.TreeDataProvider<CompareNode>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private answer: CompareAnswer | undefined;
  private session: vscode.DebugSession | undefined;
  private readonly loaded = new Map<ComparedKind, ComparedEntry[]>();
  private readonly wanted = new Map<ComparedKind, number>();
  private readonly listening: vscode.Disposable;

  constructor(sessions: Sessions) {
    this.listening = sessions.onDidChange(() => {
      if (this.session !== undefined && sessions.session !== this.session) this.show(undefined, undefined);
      // Rows that could not be had while the debuggee moved.
      else if (sessions.state === "stopped") this.changed.fire(undefined);
    });
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
  }

  /** The comparison that is shown. */
  get comparison(): CompareAnswer | undefined {
    return this.answer;
  }

  show(session: vscode.DebugSession | undefined, answer: CompareAnswer | undefined): void {
    this.session = session;
    this.answer = answer;
    this.loaded.clear();
    this.wanted.clear();
    void vscode.commands.executeCommand("setContext", "pagewalk.hasComparison", answer !== undefined);
    this.changed.fire(undefined);
  }

  showMore(group: ComparedKind): void {
    this.wanted.set(group, (this.wanted.get(group) ?? PAGE) + PAGE);
    this.changed.fire(undefined);
  }

  /** All entries, for an export. @throws an Error where the comparison is no longer there */
  async all(): Promise<ComparedEntry[]> {
    const { session, answer } = this;
    if (session === undefined || answer === undefined) throw new Error("Compare two moments first.");
    const entries: ComparedEntry[] = [];
    while (entries.length < answer.listed) {
      const page = await ask(session, COMPARED, { id: answer.id, from: entries.length, count: 1000 });
      entries.push(...page.entries);
      if (page.entries.length === 0) break;
    }
    return entries;
  }

  async getChildren(node?: CompareNode): Promise<CompareNode[]> {
    const { answer } = this;
    if (answer === undefined) return [];
    if (node?.kind === "group") return this.entries(node.group);
    if (node !== undefined) return [];
    const groups = COMPARED_KINDS.flatMap((group): CompareNode[] =>
      answer.counts[group] === 0 ? [] : [{ kind: "group", group, count: answer.counts[group] }],
    );
    const same: CompareNode = { kind: "remark", text: "No entry differs." };
    const accessed = `${answer.accessedOnly.toLocaleString("en")} more differ in accessed and dirty bits alone`;
    return [
      { kind: "moment", name: "First", answer },
      { kind: "moment", name: "Second", answer },
      ...(groups.length === 0 ? [same] : groups),
      ...(answer.accessedOnly === 0 ? [] : [{ kind: "remark" as const, text: accessed }]),
      ...answer.remarks.map((text) => ({ kind: "remark" as const, text })),
    ];
  }

  getTreeItem(node: CompareNode): vscode.TreeItem {
    switch (node.kind) {
      case "moment":
        return momentItem(node.name, node.answer);
      case "group":
        return groupItem(node.group, node.count);
      case "entry":
        return entryItem(node.entry);
      case "more":
        return moreItem(node.group);
      case "remark":
        return remarkItem(node.text);
    }
  }

  private async entries(group: ComparedKind): Promise<CompareNode[]> {
    const { session, answer } = this;
    const rows = this.loaded.get(group) ?? [];
    const wanted = this.wanted.get(group) ?? PAGE;
    if (session === undefined || answer === undefined) return [];
    let total = Number.POSITIVE_INFINITY;
    try {
      while (rows.length < Math.min(wanted, total)) {
        const page = await ask(session, COMPARED, {
          id: answer.id,
          kind: group,
          from: rows.length,
          count: PAGE,
        });
        total = page.total;
        rows.push(...page.entries);
        if (page.entries.length === 0) break;
      }
    } catch (error) {
      return [{ kind: "remark", text: error instanceof Error ? error.message : String(error) }];
    }
    if (this.answer === answer) this.loaded.set(group, rows);
    const more: CompareNode[] =
      rows.length < answer.counts[group] && rows.length < total ? [{ kind: "more", group }] : [];
    return [...rows.map((entry): CompareNode => ({ kind: "entry", entry })), ...more];
  }
}

function momentItem(name: "First" | "Second", answer: CompareAnswer): vscode.TreeItem {
  const moment = name === "First" ? answer.first : answer.second;
  const root = name === "First" ? answer.firstRoot : answer.secondRoot;
  const item = new vscode.TreeItem(`${name}: ${moment.instruction.toLocaleString("en")}`);
  item.id = name;
  item.description = `${moment.symbol ?? moment.rip} · ${root}`;
  item.tooltip = `${name} moment: ${momentText(moment)}\n${root}`;
  item.iconPath = new vscode.ThemeIcon("history");
  item.contextValue = "moment";
  item.accessibilityInformation = { label: `${name} moment, ${momentText(moment)}, ${root}` };
  item.command = {
    command: "pagewalk.lookAtMoment",
    title: "Look at This Moment",
    arguments: [moment.instruction],
  };
  return item;
}

function groupItem(group: ComparedKind, count: number): vscode.TreeItem {
  const { label, icon, colour } = KINDS[group];
  const item = new vscode.TreeItem(label, vscode.TreeItemCollapsibleState.Expanded);
  item.id = group;
  item.description = count.toLocaleString("en");
  item.iconPath = new vscode.ThemeIcon(icon, new vscode.ThemeColor(colour));
  item.accessibilityInformation = { label: `${label}, ${count} ${count === 1 ? "entry" : "entries"}` };
  return item;
}

function entryItem(entry: ComparedEntry): vscode.TreeItem {
  const { number, kind, label, name, start, oldText, newText, who, whoText } = entry;
  const { label: what, icon, colour } = KINDS[kind];
  const values = kind === "added" ? newText : kind === "cleared" ? oldText : `${oldText} → ${newText}`;
  const item = new vscode.TreeItem(label);
  item.id = `entry-${number}`;
  // In a narrow side bar the end is cut off: who did it stands before what it became.
  const place = entry.path === "" ? "" : `${start} · `;
  const author = who?.symbol?.replace(/\+0x[0-9a-f]+$/, "") ?? who?.rip ?? "unknown";
  item.description = `${author} · ${place}${values}`;
  item.iconPath = new vscode.ThemeIcon(icon, new vscode.ThemeColor(colour));
  item.contextValue = who === undefined ? "difference" : "difference-deed";
  item.tooltip = new vscode.MarkdownString();
  item.tooltip.appendText(`${what}: ${name}\nBefore: ${oldText}\nAfter: ${newText}\n${whoText}`);
  item.accessibilityInformation = {
    label: `${what}, ${label} for ${start}, ${name}, before ${oldText}, after ${newText}. ${whoText}`,
  };
  if (who?.path !== undefined && who.line !== undefined) {
    item.command = openLine(who.path, who.line);
  }
  return item;
}

function moreItem(group: ComparedKind): vscode.TreeItem {
  const item = new vscode.TreeItem("More entries");
  item.id = `more-${group}`;
  item.iconPath = new vscode.ThemeIcon("ellipsis");
  item.command = { command: "pagewalk.moreCompared", title: "Show More Entries", arguments: [group] };
  item.accessibilityInformation = { label: "More entries; press Enter to show some" };
  return item;
}

function remarkItem(text: string): vscode.TreeItem {
  const item = new vscode.TreeItem(text);
  item.iconPath = new vscode.ThemeIcon("info");
  return item;
}
