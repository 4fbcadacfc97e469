/** What else a guest asks: versions and features, memory, console, scheduling. */
import { FEATURE_DOM0, OFFERED_FEATURES } from "../abi";
import { ascii } from "../domainMemory";
import { Rejection } from "../errors";
import { type Answer, counted, done, type Handler, hex } from "./hypercall";

/** Xen 4.17. */
const VERSION = (4 << 16) | 17;
const EXTRA_VERSION = ".pagewalk";
const LONGEST_OUTPUT = 1 << 16;
const MOST_CALLS = 1 << 16;
const SHUTDOWN = 2;
const SHUTDOWN_REASONS: Readonly<Record<number, string>> = {
  0: "poweroff",
  1: "reboot",
  2: "suspend",
  3: "crash",
};

export const xenVersion: Handler = ({ memory, abi, domain }, [command, argument]) => {
  switch (Number(command)) {
    case 0:
      return done("version", BigInt(VERSION));
    case 1:
      memory.writeBytes(argument, ascii(EXTRA_VERSION.padEnd(16, "\0")));
      return done("extraversion");
    case 5:
      memory.writeWord(argument, abi.hypervisorStart);
      return done(`platform parameters: ${hex(domain.abi.hypervisorStart)}`);
    case 6: {
      const submap = memory.read(argument, 4).getUint32(0, true);
      if (submap !== 0) throw new Rejection("EINVAL", `there is no submap ${submap} of features`);
      memory.write32(argument + 4n, OFFERED_FEATURES | FEATURE_DOM0);
      return done(`features: ${hex(OFFERED_FEATURES | FEATURE_DOM0)}`);
    }
    case 7:
      return done("page size", 4096n);
    default:
      return notYet(`xen_version ${command}`);
  }
};

export const consoleIo: Handler = ({ memory, machine }, [command, count, buffer]) => {
  if (command !== 0n) return notYet(`console_io ${command}`);
  if (count > LONGEST_OUTPUT) throw new Rejection("EINVAL", `${count} characters at once`);
  const view = memory.read(buffer, Number(count));
  const text = String.fromCharCode(...new Uint8Array(view.buffer));
  machine.console(text);
  return done(`write ${JSON.stringify(text)}`);
};

export const schedOp: Handler = ({ memory, machine }, [command, argument]) => {
  if (Number(command) !== SHUTDOWN) return notYet(`sched_op ${command}`);
  const reason = memory.read(argument, 4).getUint32(0, true);
  machine.shutDown(reason);
  return done(`shutdown, ${SHUTDOWN_REASONS[reason] ?? `reason ${reason}`}`);
};

/** vcpu_op: 10 register_vcpu_info {mfn u64, offset u32}. */
export const vcpuOp: Handler = ({ memory, vcpu, machine, domain }, [command, , argument]) => {
  if (command !== 10n) return notYet(`vcpu_op ${command}`);
  const view = memory.read(argument, 16);
  const mfn = Number(view.getBigUint64(0, true));
  const offset = view.getUint32(8, true);
  if (domain.frames.pfnOf(mfn) < 0 || offset > 4096 - 64) {
    throw new Rejection("EINVAL", `no vcpu_info can be at mfn ${hex(mfn)}, offset ${offset}`);
  }
  const place = mfn * 4096 + offset;
  for (let i = 0; i < 64; i += 4) machine.write32(place + i, machine.read32(vcpu.info + i));
  vcpu.info = place;
  return done(`vcpu_info at ${hex(place)}`);
};

export const vmAssist: Handler = (_xen, [command, type]) =>
  done(`${command === 0n ? "enable" : "disable"} ${type}`);

const E820_ENTRY = 20;

export const memoryOp: Handler = ({ memory, domain, abi }, [command, argument]) => {
  const { frames, hypervisorFrames } = domain;
  switch (Number(command)) {
    case 2:
      return done("maximum_ram_page", BigInt(frames.endMfn));
    case 3:
    case 4:
      return done(
        Number(command) === 3 ? "current_reservation" : "maximum_reservation",
        BigInt(frames.nrPages),
      );
    case 9: {
      const most = memory.read(argument, 4).getUint32(0, true);
      const buffer = memory.readWord(argument + BigInt(abi.word));
      const ranges = frames.populated.slice(0, most);
      ranges.forEach(({ start, end }, index) => {
        const entry = new DataView(new ArrayBuffer(E820_ENTRY));
        entry.setBigUint64(0, BigInt(start) * 4096n, true);
        entry.setBigUint64(8, BigInt(end - start) * 4096n, true);
        entry.setUint32(16, 1, true);
        memory.writeBytes(buffer + BigInt(index * E820_ENTRY), new Uint8Array(entry.buffer));
      });
      memory.write32(argument, ranges.length);
      return done(`memory_map: ${counted(ranges.length, "range")}`);
    }
    case 12: {
      const bytes = BigInt(hypervisorFrames.m2pFrames) * 4096n;
      memory.writeWord(argument, abi.m2p);
      memory.writeWord(argument + BigInt(abi.word), abi.m2p + bytes);
      memory.writeWord(argument + BigInt(2 * abi.word), BigInt(frames.endMfn - 1));
      return done(`machphys_mapping: ${hex(abi.m2p)}, up to mfn ${hex(frames.endMfn - 1)}`);
    }
    default:
      return notYet(`memory_op ${command}`);
  }
};

/** multicall: entries of {op, result, args[6]}, each a word. A failure of one does not keep the others from running. */
export const multicall: Handler = (xen, [list, count]) => {
  const { memory, abi } = xen;
  if (count > MOST_CALLS) throw new Rejection("EINVAL", `${count} calls at once`);
  for (let index = 0n; index < count; index++) {
    const entry = list + index * BigInt(8 * abi.word);
    const view = memory.read(entry, 8 * abi.word);
    const word = (at: number) =>
      abi.word === 8 ? view.getBigUint64(8 * at, true) : BigInt(view.getUint32(4 * at, true));
    const result = xen.call(Number(word(0)), [word(2), word(3), word(4), word(5), word(6), word(7)]);
    memory.writeWord(entry + BigInt(abi.word), BigInt.asUintN(8 * abi.word, result));
  }
  return done(counted(Number(count), "call"));
};

/** A part of the interface that nothing here needs. Guests are told, and go on without. */
export function notYet(what: string): Answer {
  throw new Rejection("ENOSYS", `${what} is not supported`);
}
