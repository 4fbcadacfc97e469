/** Other moments of the run: looking at them, and coming back. What is looked at is read-only. */
import * as vscode from "vscode";
import { CANCEL } from "../../debug/protocol/standard";
import { CONTINUE_HERE, TIMELINE, TRAVEL } from "../../debug/protocol/time";
import { ask } from "../ask";
import type { Sessions } from "../sessions";

export class Moments implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  /** The first moment of a comparison is another one. */
  readonly onDidChange = this.changed.event;
  private firstMoment: number | undefined;
  /** The moment to go to once the debuggee stands: the latest that was asked for. */
  private wanted: number | undefined;
  private onTheWay = false;
  private readonly item = vscode.window.createStatusBarItem(
    "pagewalk.moment",
    vscode.StatusBarAlignment.Left,
    10,
  );
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly sessions: Sessions) {
    this.item.name = "Pagewalk: Moment";
    this.item.command = "pagewalk.backToPresent";
    this.item.backgroundColor = new vscode.ThemeColor("statusBarItem.warningBackground");
    this.disposables = [
      this.changed,
      this.item,
      sessions.onDidChange(() => void this.refresh()),
      vscode.commands.registerCommand("pagewalk.continueFromHere", () =>
        this.told(async (session) => void (await ask(session, CONTINUE_HERE, {}))),
      ),
      vscode.commands.registerCommand("pagewalk.backToPresent", () =>
        this.told(async (session) => void (await ask(session, TRAVEL, { to: "end" }))),
      ),
    ];
  }

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose();
  }

  /** The instruction that the next comparison begins with. */
  get first(): number | undefined {
    return this.firstMoment;
  }

  set first(instruction: number | undefined) {
    if (instruction === this.firstMoment) return;
    this.firstMoment = instruction;
    void vscode.commands.executeCommand("setContext", "pagewalk.hasFirstMoment", instruction !== undefined);
    this.changed.fire();
  }

  /** Goes to a moment, to look; of several that are asked for on the way the last. */
  async look(instruction: number): Promise<void> {
    this.wanted = instruction;
    if (this.onTheWay) return;
    this.onTheWay = true;
    try {
      while (this.wanted !== undefined) {
        const to = this.wanted;
        this.wanted = undefined;
        await this.told(async (session) => {
          const { now, end } = await ask(session, TIMELINE, { count: 0 });
          if (now !== to) await ask(session, TRAVEL, to >= end ? { to: "end" } : { to, look: true });
        });
      }
    } finally {
      this.onTheWay = false;
    }
  }

  /** Has the debuggee return to where it stood. */
  async cancel(): Promise<void> {
    this.wanted = undefined;
    const { session } = this.sessions;
    if (session === undefined) return;
    try {
      await ask(session, CANCEL, {});
    } catch {
      // It has arrived, or the session is over.
    }
  }

  /** Does something with the session that stands; an error is told. */
  async told(act: (session: vscode.DebugSession) => Promise<void>): Promise<void> {
    const { session, state } = this.sessions;
    if (session === undefined || state === "starting") {
      void vscode.window.showInformationMessage("Boot a program first.");
      return;
    }
    try {
      await act(session);
    } catch (error) {
      void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
    }
  }

  private async refresh(): Promise<void> {
    const { session, state } = this.sessions;
    if (session === undefined) {
      this.first = undefined;
      this.show(undefined);
      return;
    }
    if (state !== "stopped") return;
    try {
      const { now, end, lookingBack, looking } = await ask(session, TIMELINE, { count: 0 });
      this.show(lookingBack ? { now, end, looking } : undefined);
    } catch {
      // The session is gone or moves: the next stop asks again.
    }
  }

  private show(past: { now: number; end: number; looking: boolean } | undefined): void {
    void vscode.commands.executeCommand("setContext", "pagewalk.lookingBack", past !== undefined);
    if (past === undefined) {
      this.item.hide();
      return;
    }
    const [now, end] = [past.now.toLocaleString("en"), past.end.toLocaleString("en")];
    this.item.text = `$(history) Looking at instruction ${now} of ${end}`;
    this.item.tooltip = `${past.looking ? "What is shown is read-only. " : ""}Select to go back to the present.`;
    this.item.accessibilityInformation = {
      label: `Looking at instruction ${now} of ${end}. ${this.item.tooltip}`,
    };
    this.item.show();
  }
}
