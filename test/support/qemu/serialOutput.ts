/** What a guest in QEMU sends to its serial port. */
import { createConnection, type Socket } from "node:net";
import { RemoteError } from "./gdbRemote";

export class SerialOutput {
  /** Complete lines, without their ends. */
  readonly lines: string[] = [];
  private rest = "";
  private waiting: { readonly count: number; readonly resolve: () => void } | undefined;

  private constructor(private readonly socket: Socket) {
    socket.on("data", (data) => this.take(data.toString("latin1")));
    // Whoever waits has a limit of time; the end of QEMU is told by its GDB stub.
    socket.on("error", () => {});
  }

  /** Connects to a serial port that is a socket. @throws RemoteError */
  static async connect(path: string): Promise<SerialOutput> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const connecting = createConnection(path, () => resolve(connecting));
      connecting.once("error", (error) => reject(new RemoteError(error.message)));
    });
    return new SerialOutput(socket);
  }

  /** Until there are so many lines. @throws RemoteError where they do not come in time */
  until(count: number, milliseconds: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = () => {
        reject(
          new RemoteError(`no ${count} lines within ${milliseconds / 1000} s: ${this.lines.join(" | ")}`),
        );
      };
      const timer = setTimeout(late, milliseconds);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.waiting = { count, resolve: done };
      this.take("");
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private take(text: string): void {
    const parts = (this.rest + text).split("\r\n");
    this.rest = parts.pop()!;
    this.lines.push(...parts);
    if (this.waiting !== undefined && this.lines.length >= this.waiting.count) this.waiting.resolve();
  }
}
