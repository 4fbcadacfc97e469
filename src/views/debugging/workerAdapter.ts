/**
 * The debug adapter as the editor sees it: messages go to a worker thread, where the machine is, and come back.
 *
 * Invariant: when the worker dies, every request that waits gets an error response, and the session ends with a
 * message; the extension host goes on.
 */
import { Worker } from "node:worker_threads";
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";
import { stateAfter } from "../sessions";

/** Milliseconds that a worker has to end by itself after its session. */
const GRACE = 500;
/**
 * Milliseconds that the debuggee is under way at least before a stop other than a step's, as the editor sees it. Its Call Stack view is drawn 50 ms after
 * the debuggee has gone on. Where it stands again by then and the editor waits for the innermost frame, the view asks
 * for the frames too; the one that the editor focuses is then replaced, and neither marked in the view nor shown with
 * its exception. A step has no exception to show, and is felt when it takes longer.
 */
const UNDER_WAY = 80;

export class WorkerAdapter implements vscode.DebugAdapter {
  private readonly sent = new vscode.EventEmitter<vscode.DebugProtocolMessage>();
  readonly onDidSendMessage = this.sent.event;
  private readonly worker: Worker;
  private readonly waiting = new Map<number, DebugProtocol.Request>();
  private over = false;
  /** When the debuggee was last told to go on. */
  private left = 0;
  /** A stop that came too soon after that, and what came after it. */
  private held: DebugProtocol.ProtocolMessage[] | undefined;

  /** @param script the worker's bundle */
  constructor(script: string) {
    this.worker = new Worker(script);
    this.worker.on("message", (message: DebugProtocol.ProtocolMessage) => this.fromWorker(message));
    this.worker.on("error", (error) => this.died(error.message));
    this.worker.on("exit", (code) => this.died(`its worker ended with code ${code}`));
  }

  handleMessage(message: vscode.DebugProtocolMessage): void {
    const request = message as DebugProtocol.Request;
    if (this.over) {
      if (request.type === "request") this.refuse(request, "the debug session is over");
      return;
    }
    if (request.type === "request") this.waiting.set(request.seq, request);
    this.worker.postMessage(message);
  }

  dispose(): void {
    setTimeout(() => void this.worker.terminate(), GRACE).unref();
  }

  private fromWorker(message: DebugProtocol.ProtocolMessage): void {
    if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      this.waiting.delete(response.request_seq);
      if (response.command === "disconnect") this.over = true;
    }
    const state = stateAfter(message);
    if (state === "running") this.left = Date.now();
    const wait = this.left + UNDER_WAY - Date.now();
    if (this.held === undefined && state === "stopped" && wait > 0 && !isStep(message)) {
      this.held = [];
      setTimeout(() => this.release(), wait);
    }
    if (this.held === undefined) this.sent.fire(message);
    else this.held.push(message);
  }

  private release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const message of held) this.sent.fire(message);
  }

  private died(why: string): void {
    if (this.over) return;
    this.over = true;
    this.event("output", {
      category: "important",
      output: `Pagewalk's machine stopped unexpectedly: ${why}\n`,
    });
    for (const request of this.waiting.values())
      this.refuse(request, `the machine stopped unexpectedly: ${why}`);
    this.waiting.clear();
    this.event("terminated", {});
  }

  private refuse(request: DebugProtocol.Request, message: string): void {
    const { seq, command } = request;
    this.sent.fire({ type: "response", seq: 0, request_seq: seq, command, success: false, message } as never);
  }

  private event(event: string, body: unknown): void {
    this.sent.fire({ type: "event", seq: 0, event, body } as never);
  }
}

function isStep(message: DebugProtocol.ProtocolMessage): boolean {
  return (message as DebugProtocol.StoppedEvent).body.reason === "step";
}
