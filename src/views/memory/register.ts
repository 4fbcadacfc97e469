/** *View Memory*: a page of physical memory as a read-only text, with decoded entries where it is a page table. */
import * as vscode from "vscode";
import { MEMORY_PAGE } from "../../debug/protocol/tables";
import { WALK } from "../../debug/protocol/walk";
import { ask } from "../ask";
import type { Sessions } from "../sessions";

const SCHEME = "pagewalk-memory";

class MemoryPages implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly sessions: Sessions) {}

  dispose(): void {
    this.changed.dispose();
  }

  /** Every open page is asked for again. */
  refresh(): void {
    for (const { uri } of vscode.workspace.textDocuments) if (uri.scheme === SCHEME) this.changed.fire(uri);
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const { session } = this.sessions;
    if (session === undefined) return "The boot has ended: boot a program to see its memory.\n";
    try {
      return (await ask(session, MEMORY_PAGE, { physical: uri.query })).text;
    } catch (error) {
      return `${error instanceof Error ? error.message : String(error)}\n`;
    }
  }
}

/** Registers the document scheme and the command. */
export function registerMemoryPages(sessions: Sessions): vscode.Disposable {
  const pages = new MemoryPages(sessions);
  return vscode.Disposable.from(
    pages,
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, pages),
    sessions.onDidChange(() => {
      if (sessions.state !== "running") pages.refresh();
    }),
    vscode.commands.registerCommand("pagewalk.viewMemory", async (physical?: unknown) => {
      const page = typeof physical === "string" ? physical : await askForPage(sessions);
      if (page === undefined) return;
      const start = BigInt(page) & ~0xfffn;
      const uri = vscode.Uri.from({ scheme: SCHEME, path: `/memory ${hex(start)}`, query: hex(start) });
      const document = await vscode.workspace.openTextDocument(uri);
      const line = 2 + Number((BigInt(page) & 0xfffn) / 8n);
      await vscode.window.showTextDocument(document, {
        viewColumn: vscode.ViewColumn.Beside,
        preview: true,
        selection: new vscode.Range(line, 0, line, 0),
      });
    }),
  );
}

/** A linear address or an expression, walked to its physical place. */
async function askForPage(sessions: Sessions): Promise<string | undefined> {
  const { session } = sessions;
  if (session === undefined) {
    void vscode.window.showInformationMessage("Boot a program first: memory is that of a debug session.");
    return undefined;
  }
  const expression = await vscode.window.showInputBox({
    title: "View the memory at",
    prompt: "A linear address, a symbol or any expression",
    placeHolder: "&early_level4_pgt, $rsp, 0xffff880000010000",
  });
  if (expression === undefined || expression.trim() === "") return undefined;
  try {
    const { physical, outcome } = await ask(session, WALK, { expression });
    if (physical === undefined) throw new Error(outcome);
    return physical;
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
