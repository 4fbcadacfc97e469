/**
 * A client of the GDB remote serial protocol (GDB manual, appendix "GDB Remote Serial Protocol") for a stub that stands
 * still unless told to run: one request, one answer. Registers are found by name through the stub's target description.
 */
import { createConnection, type Socket } from "node:net";

/** The stub refused a request, went away, or did not answer in time; the message says which request. */
export class RemoteError extends Error {
  override name = "RemoteError";
}

/** Where a register lies in the answer to `g`. */
interface RegisterPlace {
  readonly offset: number;
  readonly bytes: number;
}

/** The stub's registers by the names of its target description, unsigned. */
export type RemoteRegisters = Readonly<Record<string, bigint>>;

interface Waiting {
  readonly request: string;
  readonly resolve: (answer: string) => void;
  readonly reject: (error: Error) => void;
}

/** Bytes of memory in one request: twice as many digits, which QEMU's packets of 4096 bytes hold. */
const MEMORY_CHUNK = 1024;
/** Steps without an effect before a target counts as one that stands still. */
const MOST_EMPTY_STEPS = 8;
const DOLLAR = 0x24;
const HASH = 0x23;
const INTERRUPT = 0x03;

export class GdbRemote {
  private received: Buffer = Buffer.alloc(0);
  private waiting: Waiting | undefined;
  private closed: string | undefined;
  private physical = false;
  /** The answer to `g` since the target stands. */
  private raw: string | undefined;
  private places: ReadonlyMap<string, RegisterPlace> = new Map();

  private constructor(private readonly socket: Socket) {
    socket.on("data", (data) => this.take(data));
    socket.on("error", (error) => this.fail(error.message));
    socket.on("close", () => this.fail("the connection was closed"));
  }

  /** Connects to a stub at the path of a socket, and reads its description. @throws RemoteError */
  static async connect(path: string): Promise<GdbRemote> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const connecting = createConnection(path, () => resolve(connecting));
      connecting.once("error", (error) => reject(new RemoteError(error.message)));
    });
    const remote = new GdbRemote(socket);
    await remote.request("qSupported:hwbreak+;swbreak+;qXfer:features:read+");
    remote.places = layoutOf(await remote.description("target.xml"));
    return remote;
  }

  /** Ends the connection; the stub goes on by itself. */
  close(): void {
    this.socket.destroy();
  }

  /** The registers now. @throws RemoteError */
  async registers(): Promise<RemoteRegisters> {
    const bytes = Buffer.from(await this.rawRegisters(), "hex");
    const registers: Record<string, bigint> = {};
    for (const [name, { offset, bytes: size }] of this.places) {
      if (offset + size > bytes.length) break;
      registers[name] = size === 8 ? bytes.readBigUInt64LE(offset) : BigInt(bytes.readUIntLE(offset, size));
    }
    return registers;
  }

  /** Sets a breakpoint at a linear address. @throws RemoteError */
  async setBreakpoint(address: bigint): Promise<void> {
    await this.expectOk(`Z1,${address.toString(16)},1`);
  }

  /** @throws RemoteError */
  async removeBreakpoint(address: bigint): Promise<void> {
    await this.expectOk(`z1,${address.toString(16)},1`);
  }

  /** Executes one instruction or iteration, past a breakpoint on it, or nothing. @throws RemoteError */
  async step(): Promise<void> {
    await this.stopped(this.request("s"));
  }

  /**
   * The same, but until something happened: QEMU's stub also calls it a step when nothing but its interrupt
   * controller was looked after, which a timer asks for at any time.
   */
  async advance(): Promise<void> {
    const before = await this.rawRegisters();
    for (let tries = 0; tries < MOST_EMPTY_STEPS; tries++) {
      await this.step();
      if ((await this.rawRegisters()) !== before) return;
    }
    throw new RemoteError(`the target stands still however often it is stepped`);
  }

  /**
   * Runs to the next breakpoint; one at the present instruction is passed.
   * @param milliseconds after which the target is stopped where it is
   * @throws RemoteError, also where the time is over
   */
  async continue(milliseconds = 60_000): Promise<void> {
    await this.advance();
    await this.continueHere(milliseconds);
  }

  /** The same, but stops at once where a breakpoint stands on the present instruction. */
  async continueHere(milliseconds = 60_000): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.socket.write(Buffer.of(INTERRUPT));
    }, milliseconds);
    try {
      await this.stopped(this.request("c"));
    } finally {
      clearTimeout(timer);
    }
    if (late) throw new RemoteError(`no breakpoint was reached within ${milliseconds / 1000} s`);
  }

  /**
   * Runs until something has happened, and stops the target where it then is; or to a breakpoint before.
   * @param over rejected where the target is not worth running on; it is stopped then too
   * @throws RemoteError, and what `over` is rejected with
   */
  async continueUntil(over: Promise<unknown>): Promise<void> {
    let stands = false;
    const stopped = this.stopped(this.request("c")).finally(() => {
      stands = true;
    });
    try {
      await Promise.race([over, stopped]);
    } finally {
      if (!stands) this.socket.write(Buffer.of(INTERRUPT));
      await stopped;
    }
  }

  /** Bytes of linear memory. @throws RemoteError where it is not mapped */
  readLinear(address: bigint, length: number): Promise<Buffer> {
    return this.read(false, address, length);
  }

  /** Bytes of physical memory (QEMU's extension `Qqemu.PhyMemMode`). @throws RemoteError */
  readPhysical(address: number, length: number): Promise<Buffer> {
    return this.read(true, BigInt(address), length);
  }

  /** @throws RemoteError */
  async writePhysical(address: number, bytes: Uint8Array): Promise<void> {
    await this.choose(true);
    for (let done = 0; done < bytes.length; done += MEMORY_CHUNK) {
      const part = Buffer.from(bytes.subarray(done, done + MEMORY_CHUNK));
      await this.expectOk(
        `M${(address + done).toString(16)},${part.length.toString(16)}:${part.toString("hex")}`,
      );
    }
  }

  private async rawRegisters(): Promise<string> {
    this.raw ??= await this.request("g");
    return this.raw;
  }

  private async read(physical: boolean, address: bigint, length: number): Promise<Buffer> {
    await this.choose(physical);
    const parts: Buffer[] = [];
    for (let done = 0; done < length; done += MEMORY_CHUNK) {
      const count = Math.min(MEMORY_CHUNK, length - done);
      const at = (address + BigInt(done)).toString(16);
      const answer = await this.request(`m${at},${count.toString(16)}`);
      if (/^E..$/.test(answer)) throw new RemoteError(`memory at 0x${at} cannot be read`);
      parts.push(Buffer.from(answer, "hex"));
    }
    return Buffer.concat(parts);
  }

  private async choose(physical: boolean): Promise<void> {
    if (this.physical === physical) return;
    await this.expectOk(`Qqemu.PhyMemMode:${physical ? 1 : 0}`);
    this.physical = physical;
  }

  /** A document of the target description with those that it includes in their places. */
  private async description(name: string): Promise<string> {
    let text = "";
    for (;;) {
      const offset = text.length.toString(16);
      const answer = await this.request(`qXfer:features:read:${name}:${offset},800`);
      text += answer.slice(1);
      if (answer[0] === "l") break;
      if (answer[0] !== "m") throw new RemoteError(`the target description ${name} cannot be read`);
    }
    const included = [...text.matchAll(/<xi:include href="([^"]+)"\/>/g)];
    for (const [element, href] of included) text = text.replace(element, await this.description(href));
    return text;
  }

  private async expectOk(request: string): Promise<void> {
    const answer = await this.request(request);
    if (answer !== "OK") throw new RemoteError(`${request} was answered by "${answer}"`);
  }

  /** T and S are stops by a signal; W and X the end of the target. */
  private async stopped(reply: Promise<string>): Promise<void> {
    this.raw = undefined;
    const answer = await reply;
    if (!/^[TS]/.test(answer)) throw new RemoteError(`the target ended: ${answer}`);
  }

  private request(text: string): Promise<string> {
    if (this.closed !== undefined) return Promise.reject(new RemoteError(this.closed));
    if (this.waiting !== undefined) {
      return Promise.reject(
        new RemoteError(`${text} came while ${this.waiting.request} was not answered yet`),
      );
    }
    return new Promise((resolve, reject) => {
      this.waiting = { request: text, resolve, reject };
      // The + acknowledges the answer before.
      this.socket.write(`+$${text}#${checksum(text)}`, "latin1");
    });
  }

  private take(data: Buffer): void {
    this.received = this.received.length === 0 ? data : Buffer.concat([this.received, data]);
    const start = this.received.indexOf(DOLLAR);
    const end = start < 0 ? -1 : this.received.indexOf(HASH, start);
    if (end < 0 || end + 2 >= this.received.length) return;
    const text = expandRuns(this.received.toString("latin1", start + 1, end));
    this.received = this.received.subarray(end + 3);
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.resolve(text);
  }

  private fail(reason: string): void {
    this.closed ??= reason;
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.reject(new RemoteError(`${waiting.request}: ${reason}`));
  }
}

/** The sum of the bytes modulo 256, as two digits. */
function checksum(text: string): string {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i);
  return (sum & 0xff).toString(16).padStart(2, "0");
}

/** Run-length encoding: `x*n` stands for x and n - 29 more of it. */
function expandRuns(text: string): string {
  return text.replace(/(.)\*(.)/gs, (_, character: string, count: string) =>
    character.repeat(count.charCodeAt(0) - 28),
  );
}

/** The registers in the order of the description, which is that of `g`. */
function layoutOf(description: string): Map<string, RegisterPlace> {
  const places = new Map<string, RegisterPlace>();
  let offset = 0;
  for (const [element] of description.replace(/<!--.*?-->/gs, "").matchAll(/<reg\s[^>]*>/g)) {
    const attribute = (name: string) => new RegExp(`\\s${name}="([^"]*)"`).exec(element)?.[1];
    const bytes = Number(attribute("bitsize")) / 8;
    // Only what fits a 64-bit value is of interest; the rest counts for the places behind it.
    if (bytes <= 8) places.set(attribute("name")!, { offset, bytes });
    offset += bytes;
  }
  return places;
}
