import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine";
import { type MmioDevice, PhysicalMemory } from "../../src/machine/memory";
import { CODE, DATA, haltedIn, longMode, P, PD, PS, PT, RW, runToEnd } from "../support/longMode";

/** Remembers accesses; answers the offset in each byte. */
class Recorder implements MmioDevice {
  readonly accesses: string[] = [];

  read(offset: number, size: number): number {
    this.accesses.push(`read ${offset.toString(16)} ${size}`);
    return Number.parseInt((offset & 0xff).toString(16).padStart(2, "0").repeat(size), 16);
  }

  write(offset: number, size: number, value: number): void {
    this.accesses.push(`write ${offset.toString(16)} ${size} ${value.toString(16)}`);
  }
}

/** Physical, beyond the RAM of the machine in long mode, and where it is mapped. */
const DEVICE = 0xfe000000;
const LINEAR = 0x400000;

function machineWithDevice(code: string): { machine: Machine; device: Recorder } {
  const machine = longMode(code, { registers: { rsi: BigInt(LINEAR), rax: 0xaaaaaaaa_11223344n } });
  machine.memory.write64(PD + 16, BigInt(DEVICE) | P | RW | PS);
  const device = new Recorder();
  machine.memory.mapDevice({ start: DEVICE, end: DEVICE + 0x2000 }, device);
  return { machine, device };
}

describe("A device in physical memory", () => {
  it("takes loads whole, in their size; those of 8 bytes as two, the lower first", () => {
    // mov al, [rsi+8]; mov bx, [rsi+10h]; mov ecx, [rsi+20h]; mov rdx, [rsi+30h]; hlt
    const { machine, device } = machineWithDevice("8a 46 08  66 8b 5e 10  8b 4e 20  48 8b 56 30  f4");
    runToEnd(machine);
    expect(device.accesses).toEqual(["read 8 1", "read 10 2", "read 20 4", "read 30 4", "read 34 4"]);
    expect(machine.cpu.getRegister(0) & 0xffn).toBe(0x08n);
    expect(machine.cpu.getRegister(3) & 0xffffn).toBe(0x1010n);
    expect(machine.cpu.getRegister(1)).toBe(0x20202020n);
    expect(machine.cpu.getRegister(2)).toBe(0x3434343430303030n);
  });

  it("takes stores in the same way, unsigned", () => {
    // mov [rsi], al; mov [rsi+2], ax; mov [rsi+4], eax; mov [rsi+8], rax; hlt
    const { machine, device } = machineWithDevice("88 06  66 89 46 02  89 46 04  48 89 46 08  f4");
    runToEnd(machine);
    const low = ["write 0 1 44", "write 2 2 3344", "write 4 4 11223344"];
    expect(device.accesses).toEqual([...low, "write 8 4 11223344", "write c 4 aaaaaaaa"]);
  });

  it("is asked each time: nothing of it is cached", () => {
    // mov ecx, [rsi]; four times; hlt
    const { machine, device } = machineWithDevice(`${"8b 0e ".repeat(4)} f4`);
    runToEnd(machine);
    expect(device.accesses).toEqual(Array(4).fill("read 0 4"));
  });

  it("takes an access across its pages byte by byte, and a string operation element by element", () => {
    // mov ecx, [rsi+0xffe]; lea rdi, [rsi+0x10]; mov ecx, 3; rep stosb; hlt
    const { machine, device } = machineWithDevice(
      "8b 8e fe 0f 00 00  48 8d 7e 10  b9 03 00 00 00  f3 aa  f4",
    );
    runToEnd(machine);
    const crossing = ["read ffe 1", "read fff 1", "read 1000 1", "read 1001 1"];
    expect(device.accesses).toEqual([...crossing, "write 10 1 44", "write 11 1 44", "write 12 1 44"]);
  });

  it("is not disturbed by a debugger, a page walk or a fetch, which read all ones", () => {
    const { machine, device } = machineWithDevice("ff e6");
    expect(machine.memory.read32(DEVICE)).toBe(-1);
    expect(machine.memory.readBytes(DEVICE, 4)).toEqual(Uint8Array.of(255, 255, 255, 255));
    machine.memory.write32(DEVICE, 0);
    // jmp rsi: ff ff is no instruction.
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(6);
    expect(device.accesses).toEqual([]);
  });

  it("faults by the rights of its page before it is asked", () => {
    const { machine, device } = machineWithDevice("88 06 f4");
    machine.memory.write64(PD + 16, BigInt(DEVICE) | P | PS);
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(14);
    expect(device.accesses).toEqual([]);
  });

  it("may stand in front of RAM, whose contents come back behind it", () => {
    // mov ecx, [rsi]; mov [rsi], eax; mov edx, [rsi]; hlt
    const code = "8b 0e  89 06  8b 16  f4";
    const machine = longMode(code, { registers: { rsi: BigInt(DATA), rax: 5n } });
    machine.memory.write32(DATA, 77);
    const device = new Recorder();
    machine.memory.mapDevice({ start: DATA, end: DATA + 0x1000 }, device);
    runToEnd(machine);
    expect(device.accesses).toEqual(["read 0 4", "write 0 4 5", "read 0 4"]);
    machine.memory.unmapDevice(device);
    expect(machine.memory.read32(DATA)).toBe(77);
    expect(machine.memory.readDevice(DATA, 4)).toBe(0xffffffff);
  });

  it("leaves the rest outside of RAM to nobody: ones are read, what is written is lost", () => {
    const memory = new PhysicalMemory([{ start: 0, end: 0x1000 }]);
    const device = new Recorder();
    memory.mapDevice({ start: 0x2000, end: 0x3000 }, device);
    expect([memory.readDevice(0x1000, 1), memory.readDevice(0x3000, 2)]).toEqual([0xff, 0xffff]);
    memory.writeDevice(0x3000, 4, 1);
    memory.unmapDevice(new Recorder());
    expect(memory.readDevice(0x2fff, 1)).toBe(0xff);
    memory.unmapDevice(device);
    expect(device.accesses).toEqual(["read fff 1"]);
  });

  it("gets what is written through a mapping that the fast cache held for RAM before", () => {
    // mov [rsi], eax; mov [rsi], eax; hlt, with the device put there in between
    const machine = longMode("89 06  89 06  f4", { registers: { rsi: 0x50000n, rax: 9n } });
    machine.memory.write64(PT + 8 * 0x50, 0x50000n | P | RW);
    machine.run(1);
    const device = new Recorder();
    machine.memory.mapDevice({ start: 0x50000, end: 0x51000 }, device);
    machine.cpu.mmu.flushCache();
    runToEnd(machine);
    expect(machine.cpu.rip).toBe(BigInt(CODE + 4));
    expect(device.accesses).toEqual(["write 0 4 9"]);
  });
});
