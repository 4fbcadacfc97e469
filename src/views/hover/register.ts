/** Hover on numbers, symbols, registers and entries, in code, disassembly, logs and memory. */
import * as vscode from "vscode";
import { HOVER } from "../../debug/protocol/hover";
import { ask } from "../ask";
import type { Sessions } from "../sessions";
import { decodeNumber, numberIn } from "./decode";

/** Scheme of what *Decode Number* shows: the path is the number, the query its markdown. */
const DECODED = "pagewalk-decoded";

const LANGUAGES = ["c", "cpp", "pagewalk-asm", "asm", "gas", "nasm", "plaintext", "log", "diff", "markdown"];
/** Registers, numbers, names; then members, elements and arrows behind a name. */
const WORD =
  /[%$]?[A-Za-z_][A-Za-z0-9_]*(?:(?:\.|->)[A-Za-z_][A-Za-z0-9_]*|\[[^\][]{1,40}\])*|\$?0x[0-9A-Fa-f]+|[0-9A-Fa-f]{16}|[0-9]+/;

/** Registers the hover and *Decode Number*. */
export function registerHover(sessions: Sessions): vscode.Disposable {
  const selector = [
    ...LANGUAGES.map((language) => ({ language })),
    { scheme: "pagewalk-memory" },
    { scheme: "debug" },
  ];
  return vscode.Disposable.from(
    vscode.languages.registerHoverProvider(selector, {
      provideHover: async (document, position) => {
        const found = await explained(document, position, sessions);
        return found && new vscode.Hover(new vscode.MarkdownString(found.markdown), found.range);
      },
    }),
    // While stopped the editor evaluates what the mouse is over; where there is more to say than a value, our hover is
    // shown in place of that.
    vscode.languages.registerEvaluatableExpressionProvider(selector, {
      provideEvaluatableExpression: async (document, position) => {
        const [first] = expressionsAt(document, position);
        if (first === undefined || (await explained(document, position, sessions)) !== undefined)
          return undefined;
        return new vscode.EvaluatableExpression(first.range, first.text);
      },
    }),
    vscode.workspace.registerTextDocumentContentProvider(DECODED, {
      provideTextDocumentContent: (uri) => `# ${uri.path.slice(1)}\n\n${uri.query}\n`,
    }),
    vscode.commands.registerCommand("pagewalk.decodeNumber", () => decodeAtCursor(sessions)),
  );
}

interface Spot {
  readonly text: string;
  readonly range: vscode.Range;
}

/** What the longest expression at a position means, that means anything: `pgt[i]` where `i` is known, else `pgt`. */
async function explained(
  document: vscode.TextDocument,
  position: vscode.Position,
  sessions: Sessions,
): Promise<(Spot & { markdown: string }) | undefined> {
  for (const spot of expressionsAt(document, position)) {
    const markdown = await markdownFor(spot.text, sessions);
    if (markdown !== undefined) return { ...spot, markdown };
  }
  return undefined;
}

/** Expressions at a position, the longest first; they end with the part that the position is in, or its index. */
function expressionsAt(document: vscode.TextDocument, position: vscode.Position): Spot[] {
  const range = document.getWordRangeAtPosition(position, WORD);
  if (range === undefined) return [];
  const text = document.getText(range);
  const at = position.character - range.start.character;
  const rest = text.slice(at);
  const name = at + (/^[A-Za-z0-9_%$]*/.exec(rest)?.[0].length ?? 0);
  const index = at + (/^[A-Za-z0-9_%$]*(\[[^\][]*\])?/.exec(rest)?.[0].length ?? 0);
  return [...new Set([index, name, text.length])]
    .filter((end) => end > 0 && end >= at)
    .map((end) => ({ text: text.slice(0, end), range: range.with({ end: range.start.translate(0, end) }) }));
}

async function markdownFor(text: string, sessions: Sessions): Promise<string | undefined> {
  const { session, state } = sessions;
  if (session !== undefined && state === "stopped") {
    try {
      return (await ask(session, HOVER, { text }))?.markdown;
    } catch {
      return undefined;
    }
  }
  const always = vscode.workspace.getConfiguration("pagewalk").get<boolean>("hover.always", false);
  const value = always ? numberIn(text) : undefined;
  return value === undefined ? undefined : decodeNumber(value);
}

async function decodeAtCursor(sessions: Sessions): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const selected = editor?.document.getText(editor.selection);
  const word = editor?.document.getWordRangeAtPosition(editor.selection.active, WORD);
  const found = selected !== undefined && selected !== "" ? selected : word && editor?.document.getText(word);
  const text =
    found ??
    (await vscode.window.showInputBox({ title: "Decode which number?", placeHolder: "0x8000000000000163" }));
  if (text === undefined || text.trim() === "") return;
  const live = sessions.state === "stopped" ? await markdownFor(text, sessions) : undefined;
  const value = numberIn(text);
  const markdown = live ?? (value === undefined ? undefined : decodeNumber(value));
  if (markdown === undefined) {
    void vscode.window.showInformationMessage(`${text} can be neither a page-table entry nor an address.`);
    return;
  }
  await showDecoded(text.trim(), markdown);
}

/** Read-only, so that nobody is asked to save it; as rendered markdown where the editor can. */
async function showDecoded(text: string, markdown: string): Promise<void> {
  const uri = vscode.Uri.from({ scheme: DECODED, path: `/${text.replaceAll("/", "∕")}`, query: markdown });
  const document = await vscode.workspace.openTextDocument(uri);
  await vscode.languages.setTextDocumentLanguage(document, "markdown");
  try {
    await vscode.commands.executeCommand("markdown.showPreviewToSide", uri);
  } catch {
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preview: true });
  }
}
