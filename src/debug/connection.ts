/**
 * A client's connection: messages of the Debug Adapter Protocol in and out, over streams or a message port. Requests
 * are answered one after another, in their order.
 */
import { ProtocolServer } from "@vscode/debugadapter/lib/protocol";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { StaleError } from "./dispatcher";
import { registerRequests } from "./requests/register";
import { Session, type SessionHost } from "./session";

/** What the process brings along; the connection adds the sending. */
export type ConnectionHost = Omit<SessionHost, "send">;

/** Answered at once while the debuggee is on its way through the history; all else waits until it stands. */
const URGENT: ReadonlySet<string> = new Set(["pause", "cancel", "terminate", "disconnect"]);

export class Connection extends ProtocolServer {
  readonly session: Session;
  private queue: Promise<void> = Promise.resolve();

  /** @param over called once the session has ended and the client knows */
  constructor(
    host: ConnectionHost,
    private readonly over: () => void,
  ) {
    super();
    this.session = new Session({ ...host, send: (event, body) => this.event(event, body) });
    registerRequests(this.session);
    this.on("error", ({ body }: { body?: unknown }) => {
      this.session.say(`A message of the client cannot be read: ${String(body)}`, "important");
    });
    this.on("close", over);
  }

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    if (this.session.isTravelling && URGENT.has(request.command)) void this.answer(request);
    else this.queue = this.queue.then(() => this.session.settled).then(() => this.answer(request));
  }

  private async answer(request: DebugProtocol.Request): Promise<void> {
    const response = {
      seq: 0,
      type: "response",
      request_seq: typeof request.seq === "number" ? request.seq : 0,
      command: String(request.command),
      success: true,
    };
    try {
      const body = await this.session.dispatcher.dispatch(response.command, request.arguments);
      this.sendResponse(body === undefined ? response : ({ ...response, body } as DebugProtocol.Response));
    } catch (error) {
      this.sendResponse({ ...response, success: false, ...describe(error) } as DebugProtocol.Response);
      this.session.forget();
      return;
    }
    this.session.responded();
    if (response.command === "disconnect") this.over();
  }

  private event(event: string, body: unknown): void {
    const message = { seq: 0, type: "event", event };
    this.sendEvent(body === undefined ? message : { ...message, body });
  }
}

/** DAP's error body: shown to the user as it is, unless it is about an earlier stop. */
function describe(error: unknown) {
  const message = error instanceof Error ? error.message : String(error);
  const showUser = !(error instanceof StaleError);
  return {
    message,
    body: { error: { id: 1, format: "{text}", variables: { text: message }, showUser } },
  };
}
