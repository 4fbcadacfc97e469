/** What selecting a tree item does that stands for a place in a source. */
import * as vscode from "vscode";

/**
 * Opens a source at a line, and leaves the focus where it is.
 * @param line from 1 on
 */
export function openLine(path: string, line: number): vscode.Command {
  const at = new vscode.Position(line - 1, 0);
  return {
    command: "vscode.open",
    title: "Open the Source Line",
    arguments: [
      vscode.Uri.file(path),
      { selection: new vscode.Range(at, at), preserveFocus: true } satisfies vscode.TextDocumentShowOptions,
    ],
  };
}
