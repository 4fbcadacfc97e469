/** The TLB view's rows: asked for at each stop, those of a parent when it is opened, in pages. */
import * as vscode from "vscode";
import { TLB, type TlbRow } from "../../debug/protocol/tlb";
import { ask } from "../ask";
import type { Sessions } from "../sessions";
import { type TlbChoice, tlbMessage } from "./message";
import { moreItem, rowItem } from "./rowItem";

/** Rows that are asked for at once. */
const PAGE = 200;

/** A row, or the one that shows more below its parent. */
export type Node =
  | { readonly kind: "row"; readonly row: TlbRow; readonly parent: Node | undefined }
  | { readonly kind: "more"; readonly parent: Node; readonly from: number; readonly left: number };

export class TlbTree implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<Node | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly messageChanged = new vscode.EventEmitter<void>();
  /** The message is another one. */
  readonly onDidChangeMessage = this.messageChanged.event;
  private chosen: TlbChoice = { filter: "none" };
  private answer: { summary: string; empty?: string; pcids: readonly number[] } = NOTHING;
  /** How many rows of a parent are shown, where more were asked for. */
  private readonly shown = new Map<string, number>();
  /** What was below each row at the last stop: shown while the debuggee runs. */
  private readonly before = new Map<string, Node[]>();
  private readonly listening: vscode.Disposable;

  constructor(private readonly sessions: Sessions) {
    this.listening = sessions.onDidChange(() => {
      if (sessions.state === undefined || sessions.state === "starting") this.clear();
      if (sessions.state === "running") this.messageChanged.fire();
      else this.refresh();
    });
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
    this.messageChanged.dispose();
  }

  /** Which entries are shown. */
  get choice(): TlbChoice {
    return this.chosen;
  }

  /** PCIDs that have entries. */
  get pcids(): readonly number[] {
    return this.answer.pcids;
  }

  /** Shows other entries from now on. */
  choose(choice: TlbChoice): void {
    this.chosen = choice;
    this.shown.clear();
    this.refresh();
  }

  /** Shows more rows of a parent. */
  showMore(node: Node): void {
    if (node.kind !== "more" || node.parent.kind !== "row") return;
    this.shown.set(node.parent.row.id, node.from + PAGE);
    this.changed.fire(node.parent);
  }

  /** What the view says above its rows. */
  get message(): string {
    const { state } = this.sessions;
    if (state === undefined || state === "starting") return "";
    return tlbMessage(this.chosen, { running: state === "running", ...this.answer });
  }

  async getChildren(node?: Node): Promise<Node[]> {
    const { session, state } = this.sessions;
    if (node?.kind === "more") return [];
    const id = node?.row.id ?? "";
    if (session === undefined || state !== "stopped") return this.before.get(id) ?? [];
    const count = this.shown.get(id) ?? PAGE;
    try {
      const answer = await ask(session, TLB, {
        ...(node === undefined ? {} : { parent: id }),
        ...this.chosen,
        count,
      });
      if (node === undefined) {
        this.answer = answer;
        this.messageChanged.fire();
      }
      const nodes: Node[] = answer.rows.map((row) => ({ kind: "row", row, parent: node }));
      if (node !== undefined && answer.total > count)
        nodes.push({ kind: "more", parent: node, from: count, left: answer.total - count });
      this.before.set(id, nodes);
      return nodes;
    } catch (error) {
      // The debuggee moves: the next stop asks again. A place that is none says so.
      if (node !== undefined || this.sessions.state !== "stopped") return this.before.get(id) ?? [];
      this.answer = { ...NOTHING, empty: error instanceof Error ? error.message : String(error) };
      this.messageChanged.fire();
      return [];
    }
  }

  getParent(node: Node): Node | undefined {
    return node.parent;
  }

  getTreeItem(node: Node): vscode.TreeItem {
    if (node.kind === "row") return rowItem(node.row);
    return moreItem(node.left, { command: "pagewalk.moreTlb", title: "Show More Rows", arguments: [node] });
  }

  private clear(): void {
    this.before.clear();
    this.shown.clear();
    this.answer = NOTHING;
  }

  private refresh(): void {
    this.changed.fire(undefined);
    this.messageChanged.fire();
  }
}

const NOTHING = { summary: "", pcids: [] };
