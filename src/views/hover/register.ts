/** Hover on numbers, symbols, registers and entries, in code, disassembly, logs and memory. */
import * as vscode from "vscode";
import { HOVER } from "../../debug/protocol/tables";
import { ask } from "../ask";
import type { Sessions } from "../sessions";
import { decodeNumber, numberIn } from "./decode";

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
        const found = expressionAt(document, position);
        const markdown = found === undefined ? undefined : await markdownFor(found.text, sessions);
        return markdown === undefined
          ? undefined
          : new vscode.Hover(new vscode.MarkdownString(markdown), found?.range);
      },
    }),
    // While stopped the editor evaluates what the mouse is over; where there is more to say than a value, our hover is
    // shown in place of that.
    vscode.languages.registerEvaluatableExpressionProvider(selector, {
      provideEvaluatableExpression: async (document, position) => {
        const found = expressionAt(document, position);
        if (found === undefined || (await markdownFor(found.text, sessions)) !== undefined) return undefined;
        return new vscode.EvaluatableExpression(found.range, found.text);
      },
    }),
    vscode.commands.registerCommand("pagewalk.decodeNumber", () => decodeAtCursor(sessions)),
  );
}

function expressionAt(
  document: vscode.TextDocument,
  position: vscode.Position,
): { text: string; range: vscode.Range } | undefined {
  const range = document.getWordRangeAtPosition(position, WORD);
  if (range === undefined) return undefined;
  return { text: upTo(document.getText(range), position.character - range.start.character), range };
}

/** An expression up to the part that the cursor is in: hovering `pool` of `settings.pool.size` shows that. */
function upTo(text: string, at: number): string {
  const end = text.slice(at).search(/\.|->|\[/);
  if (end < 0 || text[at + end] === "[") return text;
  return text.slice(0, at + end);
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
  const document = await vscode.workspace.openTextDocument({
    language: "markdown",
    content: `# ${text}\n\n${markdown}\n`,
  });
  await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preview: true });
}
