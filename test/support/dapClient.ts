/** A client of the debug adapter in the same process: sends requests, waits for events, keeps everything said. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { Connection } from "../../src/debug/connection";
import { nodeHost } from "../../src/debug/nodeHost";

export const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

type Body = Record<string, unknown>;

export class DapClient {
  readonly messages: DebugProtocol.ProtocolMessage[] = [];
  readonly connection: Connection;
  private seq = 1;
  private readonly waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  private readonly listeners = new Set<(event: DebugProtocol.Event) => boolean>();
  private readonly unseen: DebugProtocol.Event[] = [];

  constructor() {
    this.connection = new Connection(nodeHost(ROOT), () => {});
    this.connection.onDidSendMessage((message) =>
      this.take(structuredClone(message) as DebugProtocol.ProtocolMessage),
    );
  }

  private take(message: DebugProtocol.ProtocolMessage): void {
    this.messages.push(message);
    if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      this.waiting.get(response.request_seq)?.(response);
      this.waiting.delete(response.request_seq);
      return;
    }
    const event = message as DebugProtocol.Event;
    for (const listener of this.listeners) {
      if (!listener(event)) continue;
      this.listeners.delete(listener);
      return;
    }
    this.unseen.push(event);
  }

  /** Forgets everything said so far: a long test would measure it. */
  forget(): void {
    this.messages.length = 0;
    this.unseen.length = 0;
  }

  /** The response, whatever it says. */
  raw(command: string, args: unknown = {}): Promise<DebugProtocol.Response> {
    const seq = this.seq++;
    return new Promise((resolve) => {
      this.waiting.set(seq, resolve);
      this.connection.handleMessage({ type: "request", seq, command, arguments: args } as never);
    });
  }

  /** The body of a response that must be a success. */
  async ask<T = Body>(command: string, args: unknown = {}): Promise<T> {
    const response = await this.raw(command, args);
    if (!response.success) throw new Error(`${command}: ${response.message}`);
    return response.body as T;
  }

  /** The next event of a kind, those that came unseen first. */
  event(kind: string): Promise<Body> {
    const index = this.unseen.findIndex(({ event }) => event === kind);
    if (index >= 0) return Promise.resolve((this.unseen.splice(index, 1)[0].body ?? {}) as Body);
    return new Promise((resolve) => {
      this.listeners.add((event) => {
        if (event.event !== kind) return false;
        resolve((event.body ?? {}) as Body);
        return true;
      });
    });
  }

  /** Launches, sets filters, and waits for the first stop. */
  async start(launch: Body = {}, filters: readonly string[] = []): Promise<Body> {
    await this.ask("initialize", {
      adapterID: "pagewalk",
      pathFormat: "path",
      linesStartAt1: true,
      columnsStartAt1: true,
    });
    await this.ask("launch", { type: "pagewalk", program: "early-fault", ...launch });
    await this.event("initialized");
    await this.ask("setExceptionBreakpoints", { filters });
    await this.ask("configurationDone");
    return this.event("stopped");
  }

  /** Sends a request that moves the debuggee, and waits for its stop. */
  async go(command: string, args: Body = {}): Promise<Body> {
    await this.ask(command, { threadId: 1, ...args });
    return this.event("stopped");
  }

  async frames(): Promise<DebugProtocol.StackFrame[]> {
    return (await this.ask<{ stackFrames: DebugProtocol.StackFrame[] }>("stackTrace", { threadId: 1 }))
      .stackFrames;
  }

  /** "name:line" of the innermost frame. */
  async here(): Promise<string> {
    const [frame] = await this.frames();
    return `${frame.name}:${frame.line}`;
  }

  async evaluate(expression: string, context = "watch"): Promise<string> {
    return (await this.ask<{ result: string }>("evaluate", { expression, context, frameId: 1 })).result;
  }

  end(): void {
    this.connection.session.end();
  }
}
