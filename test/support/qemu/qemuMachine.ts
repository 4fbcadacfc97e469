/** A PC in QEMU under TCG that stands at reset, with its GDB stub and its monitor. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GdbRemote, RemoteError } from "./gdbRemote";
import { Qmp } from "./qmp";

const QEMU = "qemu-system-x86_64";

export interface QemuOptions {
  /** Path of an ELF kernel with a PVH note. */
  readonly kernel: string;
  /** As QEMU reads it: "4G". */
  readonly memory: string;
  /** As QEMU reads it: "max,la57=off". */
  readonly cpu: string;
  readonly cmdline: string;
}

/** Why QEMU cannot be used here; undefined where it can. */
export function qemuMissing(): string | undefined {
  const { error, status } = spawnSync(QEMU, ["--version"]);
  return error === undefined && status === 0 ? undefined : `${QEMU} is not installed`;
}

export class QemuMachine {
  /** Whoever ends without `stop` leaves no QEMU behind. */
  private readonly killAtExit = () => this.child.kill("SIGKILL");

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    readonly gdb: GdbRemote,
    readonly qmp: Qmp,
  ) {
    process.once("exit", this.killAtExit);
  }

  /** Starts QEMU without a network, stopped at reset. @throws RemoteError where it does not come up */
  static async start(options: QemuOptions): Promise<QemuMachine> {
    const folder = mkdtempSync(join(tmpdir(), "pagewalk-qemu-"));
    const gdbPath = join(folder, "gdb");
    const qmpPath = join(folder, "qmp");
    const { kernel, memory, cpu, cmdline } = options;
    const child = spawn(
      QEMU,
      [
        ...[
          "-machine",
          "pc",
          "-accel",
          "tcg",
          "-cpu",
          cpu,
          "-m",
          memory,
          "-kernel",
          kernel,
          "-append",
          cmdline,
        ],
        ...["-display", "none", "-serial", "none", "-monitor", "none", "-nodefaults", "-no-reboot", "-S"],
        ...["-gdb", `unix:${gdbPath},server=on,wait=off`, "-qmp", `unix:${qmpPath},server=on,wait=off`],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let complaint = "";
    child.on("error", (error) => {
      complaint = error.message;
    });
    child.stderr?.on("data", (data) => {
      complaint += data;
    });
    try {
      await socketsOf(child, [gdbPath, qmpPath], () => complaint);
      return new QemuMachine(child, folder, await GdbRemote.connect(gdbPath), await Qmp.connect(qmpPath));
    } catch (error) {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ends QEMU, whatever it does. */
  async stop(): Promise<void> {
    const { child } = this;
    const ended = new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once("exit", () => resolve());
    });
    this.gdb.close();
    this.qmp.close();
    child.kill("SIGKILL");
    process.off("exit", this.killAtExit);
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until QEMU has made its sockets. */
async function socketsOf(child: ChildProcess, paths: string[], complaint: () => string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (paths.every((path) => existsSync(path))) return;
    if (child.exitCode !== null || child.pid === undefined) break;
    await sleep(20);
  }
  throw new RemoteError(`QEMU did not start: ${complaint().trim() || "it made no socket for its GDB stub"}`);
}
