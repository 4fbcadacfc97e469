/** A client of the QEMU Machine Protocol (QEMU manual, "QEMU Machine Protocol Specification"). */
import { createConnection, type Socket } from "node:net";
import { createInterface, type Interface } from "node:readline";
import { RemoteError } from "./gdbRemote";

interface Answer {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

export class Qmp {
  private readonly answers: ((answer: Answer) => void)[] = [];
  private readonly lines: Interface;

  private constructor(private readonly socket: Socket) {
    this.lines = createInterface(socket);
    this.lines.on("line", (line) => {
      const message = JSON.parse(line) as Answer;
      // Greetings and events are no answers.
      if ("return" in message || "error" in message) this.answers.shift()?.(message);
    });
    socket.on("close", () => {
      for (const answer of this.answers.splice(0)) answer({ error: { desc: "QEMU has ended" } });
    });
  }

  /** @param path of a socket. @throws RemoteError */
  static async connect(path: string): Promise<Qmp> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const connecting = createConnection(path, () => resolve(connecting));
      connecting.once("error", (error) => reject(new RemoteError(error.message)));
    });
    const qmp = new Qmp(socket);
    await qmp.execute("qmp_capabilities");
    return qmp;
  }

  /** @throws RemoteError where QEMU refuses */
  async execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const answer = await new Promise<Answer>((resolve) => {
      this.answers.push(resolve);
      this.socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
    if (answer.error !== undefined) throw new RemoteError(`${command}: ${answer.error.desc}`);
    return answer.return;
  }

  /** A command of QEMU's monitor for people; gives its text. */
  async monitor(line: string): Promise<string> {
    return String(await this.execute("human-monitor-command", { "command-line": line }));
  }

  /** QEMU's version, such as "7.2.22". */
  async version(): Promise<string> {
    const { qemu } = (await this.execute("query-version")) as {
      qemu: { major: number; minor: number; micro: number };
    };
    return `${qemu.major}.${qemu.minor}.${qemu.micro}`;
  }

  close(): void {
    this.lines.close();
    this.socket.destroy();
  }
}
