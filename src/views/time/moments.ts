/** Other moments of the run: looking at them, and coming back. What is looked at is read-only. */
import * as vscode from "vscode";
import { CANCEL } from "../../debug/protocol/standard";
import { CONTINUE_HERE, TIMELINE, TRAVEL } from "../../debug/protocol/time";
import { ask } from "../ask";
import type { Sessions } from "../sessions";

/** Milliseconds that the debuggee stands at a moment before the editor shows its place. */
const REST = 200;
/** Milliseconds, and how often, that the editor is given to focus a frame. */
const FRAME_TIME = 300;
const FRAME_TRIES = 5;

/**
 * Has the editor show the innermost frame, and leave the keyboard's focus where it is: it may be on the timeline, and
 * the next key would change a program's source. At a stop with `preserveFocusHint` the editor focuses no frame at all,
 * and its own commands that go to one take the focus with them, but for the one that shows a session. Without a session
 * that one takes the session that has stopped.
 * @param stands whether the debuggee is still where it was: another stop has a focus of its own, which this would take
 */
async function focusTopFrame(stands: () => boolean): Promise<void> {
  for (let i = 0; i < FRAME_TRIES && stands(); i++) {
    try {
      await vscode.commands.executeCommand("workbench.action.debug.focusProcess", null);
    } catch {
      if (stands()) await vscode.commands.executeCommand("workbench.action.debug.callStackTop");
    }
    // Whose call stack the editor has not fetched yet has no frame.
    await new Promise((done) => setTimeout(done, FRAME_TIME));
    if (vscode.debug.activeStackItem instanceof vscode.DebugStackFrame) return;
  }
}

export class Moments implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  /** The first moment of a comparison is another one. */
  readonly onDidChange = this.changed.event;
  private firstMoment: number | undefined;
  /** The moment to go to once the debuggee stands: the latest that was asked for. */
  private wanted: number | undefined;
  private resting: ReturnType<typeof setTimeout> | undefined;
  /** Counts the stops, and their ends. */
  private stop = 0;
  /** Ends when there is no moment left to go to. */
  private way: Promise<void> | undefined;
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
      sessions.onDidChange(() => {
        if (sessions.state !== "stopped") this.stop++;
        void this.refresh();
      }),
      sessions.onDidStop(({ preserveFocusHint }) => {
        clearTimeout(this.resting);
        const stop = ++this.stop;
        const focus = () => void focusTopFrame(() => this.stop === stop);
        if (preserveFocusHint === true) this.resting = setTimeout(focus, REST);
      }),
      vscode.commands.registerCommand("pagewalk.continueFromHere", () =>
        this.told(async (session) => void (await ask(session, CONTINUE_HERE, { preserveFocus: true }))),
      ),
      vscode.commands.registerCommand("pagewalk.backToPresent", () =>
        this.told(async (session) => void (await ask(session, TRAVEL, { to: "end", preserveFocus: true }))),
      ),
    ];
  }

  dispose(): void {
    clearTimeout(this.resting);
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
  look(instruction: number): Promise<void> {
    this.wanted = instruction;
    this.way ??= this.goToWanted().finally(() => {
      this.way = undefined;
    });
    return this.way;
  }

  private async goToWanted(): Promise<void> {
    while (this.wanted !== undefined) {
      const to = this.wanted;
      this.wanted = undefined;
      await this.told(async (session) => {
        const { now, end } = await ask(session, TIMELINE, { count: 0 });
        if (now !== to) {
          const goal = to >= end ? { to: "end" as const } : { to, look: true };
          await ask(session, TRAVEL, { ...goal, preserveFocus: true });
        }
      });
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
