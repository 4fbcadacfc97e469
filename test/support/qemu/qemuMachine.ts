/** A PC in QEMU under TCG that stands at reset, with its GDB stub and its monitor. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Boot } from "../../../src/boot/boot";
import { GdbRemote, RemoteError } from "./gdbRemote";
import { Qmp } from "./qmp";
import { SerialOutput } from "./serialOutput";
import { memoryImage, startRom } from "./transplant";

const QEMU = "qemu-system-x86_64";
/** The socket of the serial port, in QEMU's folder. */
const SERIAL = "serial";

export interface QemuOptions {
  /** As QEMU reads it: "4G". */
  readonly memory: string;
  /** As QEMU reads it: "max,la57=off". */
  readonly cpu: string;
}

export interface KernelOptions extends QemuOptions {
  /** Path of an ELF kernel with a PVH note. */
  readonly kernel: string;
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

  /** Starts QEMU with a kernel for its firmware to boot, stopped at reset. @throws RemoteError where it does not come up */
  static start({ kernel, cmdline, ...options }: KernelOptions): Promise<QemuMachine> {
    return QemuMachine.launch(options, () => ["-kernel", kernel, "-append", cmdline, "-serial", "none"]);
  }

  /**
   * Starts QEMU with a boot of ours in its memory, stopped at reset, a few dozen instructions before the entry.
   * @throws RemoteError where it does not come up; RangeError where the start state is none that QEMU can be brought to
   */
  static startBoot(boot: Boot, options: QemuOptions): Promise<QemuMachine> {
    const image = memoryImage(boot);
    const rom = startRom(boot.start);
    return QemuMachine.launch(options, (folder) => {
      writeFileSync(join(folder, "image"), image);
      writeFileSync(join(folder, "rom"), rom);
      return [
        ...["-bios", join(folder, "rom"), "-device", `loader,file=${join(folder, "image")}`],
        ...["-serial", `unix:${join(folder, SERIAL)},server=on,wait=off`],
      ];
    });
  }

  /** What the guest of `startBoot` sends to its serial port from now on. @throws RemoteError */
  serialOutput(): Promise<SerialOutput> {
    return SerialOutput.connect(join(this.folder, SERIAL));
  }

  /** The contents of a range of physical memory; faster than the GDB stub where it is large. @throws RemoteError */
  async dumpPhysical(start: number, length: number): Promise<Buffer> {
    const filename = join(this.folder, "dump");
    await this.qmp.execute("pmemsave", { val: start, size: length, filename });
    return readFileSync(filename);
  }

  /** @param boot what to boot as arguments, given the folder for QEMU's files */
  private static async launch(
    { memory, cpu }: QemuOptions,
    boot: (folder: string) => string[],
  ): Promise<QemuMachine> {
    const folder = mkdtempSync(join(tmpdir(), "pagewalk-qemu-"));
    const gdbPath = join(folder, "gdb");
    const qmpPath = join(folder, "qmp");
    const child = spawn(
      QEMU,
      [
        ...["-machine", "pc,memory-backend=ram", "-accel", "tcg", "-cpu", cpu, "-m", memory],
        // Memory that nobody touches is not there, however much was asked for.
        ...["-object", `memory-backend-ram,id=ram,size=${memory},reserve=off`],
        ...["-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot", "-S"],
        ...["-gdb", `unix:${gdbPath},server=on,wait=off`, "-qmp", `unix:${qmpPath},server=on,wait=off`],
        ...boot(folder),
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
