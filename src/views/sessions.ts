/** The debug session that the views show, and what becomes of it: they learn of it from the protocol alone. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";
import { DEBUG_TYPE } from "./debugging/configurations";

/**
 * Milliseconds that a stop is kept from the views unless the editor has its innermost frame earlier. Where the editor
 * waits too long for that frame, its Call Stack view asks for it as well, and the frame that the editor has focused is
 * no longer one of the stack: it shows no exception then.
 */
const FRAME_PATIENCE = 500;

export type SessionState = "starting" | "running" | "stopped";

export class Sessions implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  /** The session, or its state, is another one: whatever is shown has to be asked for again. */
  readonly onDidChange = this.changed.event;
  private readonly stoppedEmitter = new vscode.EventEmitter<DebugProtocol.StoppedEvent["body"]>();
  /** The debuggee of the shown session has stopped. */
  readonly onDidStop = this.stoppedEmitter.event;
  private readonly progressEmitter = new vscode.EventEmitter<TravelProgress | undefined>();
  /** The debuggee of the shown session is on its way to another moment, and how far; undefined once it has arrived. */
  readonly onDidProgress = this.progressEmitter.event;
  private progress = "";
  private readonly states = new Map<string, SessionState>();
  private shown: vscode.DebugSession | undefined;
  /** A stop that the views have not been told of. */
  private untold: { readonly tell: () => void; readonly timer: ReturnType<typeof setTimeout> } | undefined;
  private readonly disposables: vscode.Disposable[];

  constructor() {
    this.disposables = [
      this.changed,
      this.stoppedEmitter,
      this.progressEmitter,
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: (session) => ({
          onDidSendMessage: (message: DebugProtocol.ProtocolMessage) => this.take(session, message),
        }),
      }),
      vscode.debug.onDidStartDebugSession((session) => this.show(session)),
      vscode.debug.onDidChangeActiveDebugSession((session) => this.show(session)),
      vscode.debug.onDidTerminateDebugSession((session) => this.ended(session)),
    ];
    this.show(vscode.debug.activeDebugSession);
  }

  /** The session of ours that is active, or was last. */
  get session(): vscode.DebugSession | undefined {
    return this.shown;
  }

  get state(): SessionState | undefined {
    return this.shown === undefined ? undefined : this.states.get(this.shown.id);
  }

  dispose(): void {
    clearTimeout(this.untold?.timer);
    for (const disposable of this.disposables) disposable.dispose();
  }

  private show(session: vscode.DebugSession | undefined): void {
    if (session?.type !== DEBUG_TYPE || session === this.shown) return;
    this.shown = session;
    if (!this.states.has(session.id)) this.states.set(session.id, "starting");
    this.changed.fire();
  }

  private ended(session: vscode.DebugSession): void {
    this.states.delete(session.id);
    if (session !== this.shown) return;
    this.shown = undefined;
    this.changed.fire();
  }

  private takeProgress({ event, body }: DebugProtocol.Event): void {
    if (event === "progressStart") this.progress = body.title;
    if (event === "progressStart" || event === "progressUpdate")
      this.progressEmitter.fire({ title: this.progress, percentage: body.percentage ?? 0 });
    if (event === "progressEnd") this.progressEmitter.fire(undefined);
  }

  private take(session: vscode.DebugSession, message: DebugProtocol.ProtocolMessage): void {
    if (message.type === "event" && session === this.shown) this.takeProgress(message as DebugProtocol.Event);
    const state = stateAfter(message);
    if (state === undefined) {
      if (session === this.shown && isCallStack(message)) this.untold?.tell();
      return;
    }
    if (this.shown === undefined) this.shown = session;
    this.states.set(session.id, state);
    if (session !== this.shown) return;
    clearTimeout(this.untold?.timer);
    this.untold = undefined;
    if (state === "stopped") this.tellOfStop((message as DebugProtocol.StoppedEvent).body);
    else this.changed.fire();
  }

  private tellOfStop(body: DebugProtocol.StoppedEvent["body"]): void {
    const tell = () => {
      clearTimeout(timer);
      this.untold = undefined;
      this.changed.fire();
      this.stoppedEmitter.fire(body);
    };
    const timer = setTimeout(tell, FRAME_PATIENCE);
    this.untold = { tell, timer };
  }
}

/** How far the debuggee has come on a way that takes long. */
export interface TravelProgress {
  readonly title: string;
  /** 0 to 100. */
  readonly percentage: number;
}

/** The state that a message of the adapter's tells of; undefined where it tells of none. */
export function stateAfter(message: DebugProtocol.ProtocolMessage): SessionState | undefined {
  if (message.type === "event") {
    const { event } = message as DebugProtocol.Event;
    return event === "stopped" ? "stopped" : event === "continued" ? "running" : undefined;
  }
  const { command, success } = message as DebugProtocol.Response;
  return success && MOVING.has(command) ? "running" : undefined;
}

function isCallStack(message: DebugProtocol.ProtocolMessage): boolean {
  return message.type === "response" && (message as DebugProtocol.Response).command === "stackTrace";
}

const MOVING: ReadonlySet<string> = new Set([
  "continue",
  "next",
  "stepIn",
  "stepOut",
  "stepBack",
  "reverseContinue",
  "restartFrame",
  "restart",
  "goto",
  "configurationDone",
]);
