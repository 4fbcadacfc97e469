/** A client of the debug adapter without an editor. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { Connection } from "../debug/connection";
import { nodeHost } from "../debug/nodeHost";

type Message = DebugProtocol.ProtocolMessage;

export class Client {
  private readonly connection: Connection;
  private readonly waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  private stopped: ((body: Record<string, unknown>) => void) | undefined;
  private seq = 1;

  constructor(root: string) {
    this.connection = new Connection(nodeHost(root), () => {});
    this.connection.onDidSendMessage((message) => this.take(message as Message));
  }

  async ask(command: string, args: unknown = {}): Promise<Record<string, unknown>> {
    const seq = this.seq++;
    const response = await new Promise<DebugProtocol.Response>((done) => {
      this.waiting.set(seq, done);
      this.connection.handleMessage({ type: "request", seq, command, arguments: args } as never);
    });
    if (!response.success) throw new Error(`${command}: ${response.message}`);
    return (response.body ?? {}) as Record<string, unknown>;
  }

  /** A request that moves the debuggee, until it stands again. */
  async go(command: string, args: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const { stop } = await this.askAndStop(command, { threadId: 1, ...args });
    return stop;
  }

  /** A request that has an answer and moves the debuggee, until it stands again. */
  async askAndStop(
    command: string,
    args: unknown,
  ): Promise<{ answer: Record<string, unknown>; stop: Record<string, unknown> }> {
    const stop = new Promise<Record<string, unknown>>((done) => {
      this.stopped = done;
    });
    const answer = await this.ask(command, args);
    return { answer, stop: await stop };
  }

  end(): void {
    this.connection.session.end();
  }

  private take(message: Message): void {
    if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      this.waiting.get(response.request_seq)?.(response);
      this.waiting.delete(response.request_seq);
    } else {
      const { event, body } = message as DebugProtocol.Event;
      if (event === "stopped") this.stopped?.((body ?? {}) as Record<string, unknown>);
    }
  }
}
