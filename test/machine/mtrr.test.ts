/** MTRRs, machine-check registers and the vendors' own registers. */
import { describe, expect, it } from "vitest";
import { CpuFault } from "../../src/machine/cpu/fault";
import { parseCpu } from "../../src/machine/cpu/model";
import { readMsr, writeMsr } from "../../src/machine/cpu/msr";
import { Machine } from "../../src/machine/machine";
import type { PhysicalRange } from "../../src/machine/memory";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** The machine of QEMU's `pc` with so much RAM: from 3.5 GiB on it is split at 3 GiB. */
function machine(size: number, cpu = "qemu64"): Machine {
  const ram: PhysicalRange[] =
    size < 3.5 * GIB
      ? [{ start: 0, end: size }]
      : [
          { start: 0, end: 3 * GIB },
          { start: 4 * GIB, end: size + GIB },
        ];
  return new Machine({ ram, cpu: parseCpu(cpu) });
}

/** The value, or the vector of the exception. */
function attempt(action: () => bigint | undefined): bigint | string | undefined {
  try {
    return action();
  } catch (thrown) {
    if (thrown instanceof CpuFault) return `vector ${thrown.vector}`;
    throw thrown;
  }
}

function write(on: Machine, index: number, value: bigint): bigint | string | undefined {
  return attempt(() => {
    writeMsr(on.cpu, index, value);
    return readMsr(on.cpu, index);
  });
}

const read = (on: Machine, index: number) => attempt(() => readMsr(on.cpu, index));

describe("MTRRs as firmware leaves them", () => {
  // Read with RDMSR at the PVH entry of QEMU 7.2's pc (SeaBIOS), -cpu qemu64.
  it.each([
    [100 * MIB, 0x80000000n],
    [2048 * MIB, 0x80000000n],
    [2049 * MIB, 0xc0000000n],
    [3072 * MIB, 0xc0000000n],
    [3073 * MIB, 0xc0100000n],
    [3276 * MIB, 0xccc00000n],
    [3583 * MIB, 0xdff00000n],
    [4096 * MIB, 0xc0000000n],
    [6144 * MIB, 0xc0000000n],
  ])("with %i bytes of RAM the uncacheable range begins at %i", (size, start) => {
    const pc = machine(size);
    expect([read(pc, 0x200), read(pc, 0x201)]).toEqual([start, 0xff00000800n | start]);
    expect(read(pc, 0x202)).toBe(0n);
  });

  it("the first MiB is write-back, VGA memory uncacheable, ROMs write-protected; the rest is write-back", () => {
    const pc = machine(256 * MIB);
    expect([0xfe, 0x2ff, 0x250, 0x258, 0x259].map((index) => read(pc, index))).toEqual([
      0x508n,
      0xc06n,
      0x0606060606060606n,
      0x0606060606060606n,
      0n,
    ]);
    for (let index = 0x268; index <= 0x26f; index++) expect(read(pc, index)).toBe(0x0505050505050505n);
  });

  it("RAM without a hole below 4 GiB has no such range", () => {
    const pc = new Machine({ ram: [{ start: 0, end: 8 * GIB }], cpu: parseCpu("max") });
    expect([read(pc, 0x200), read(pc, 0x201)]).toEqual([0n, 0n]);
  });

  it("they check memory types and reserved bits (SDM vol. 3A, 11.11.2)", () => {
    const pc = machine(256 * MIB);
    for (const [index, value] of [
      [0x250, 0x0606060602060606n],
      [0x2ff, 0xc02n],
      [0x2ff, 0x1c06n],
      [0x202, 0x103n],
      [0x202, 1n << 40n],
      [0x203, 0x400n],
      [0xfe, 0x508n],
    ] as const) {
      expect([index, write(pc, index, value)]).toEqual([index, "vector 13"]);
    }
    expect(write(pc, 0x202, 0xc0000004n)).toBe(0xc0000004n);
    expect(write(pc, 0x203, 0xffc0000800n)).toBe(0xffc0000800n);
    expect(write(pc, 0x2ff, 0n)).toBe(0n);
  });

  it("a CPU without them has none", () => {
    for (const index of [0xfe, 0x200, 0x250, 0x2ff])
      expect(read(machine(256 * MIB, "qemu64,-mtrr"), index)).toBe("vector 13");
  });
});

describe("The machine-check architecture (SDM vol. 3B, 15.3)", () => {
  it("has ten banks that enable all errors and tell of none", () => {
    const pc = machine(256 * MIB);
    expect([0x179, 0x17a, 0x17b].map((index) => read(pc, index))).toEqual([
      0x0100010an,
      0n,
      0xffffffffffffffffn,
    ]);
    expect([0x400, 0x401, 0x424, 0x427].map((index) => read(pc, index))).toEqual([
      0xffffffffffffffffn,
      0n,
      0xffffffffffffffffn,
      0n,
    ]);
    expect(read(pc, 0x428)).toBe("vector 13");
  });

  it("an error's description can be cleared, not written", () => {
    const pc = machine(256 * MIB);
    for (const index of [0x401, 0x402, 0x403]) {
      expect(write(pc, index, 0n)).toBe(0n);
      expect(write(pc, index, 1n)).toBe("vector 13");
    }
    expect(write(pc, 0x400, 0n)).toBe(0n);
    expect(write(pc, 0x17a, 4n)).toBe(4n);
    expect(write(pc, 0x17a, 8n)).toBe("vector 13");
    expect(write(pc, 0x179, 0n)).toBe("vector 13");
  });

  it("goes with the feature mca", () => {
    expect(read(machine(256 * MIB, "qemu64,-mca"), 0x17a)).toBe("vector 13");
  });
});

describe("Registers of one vendor", () => {
  it("AMD's are on AMD's CPUs only, and start as QEMU's", () => {
    for (const index of [0xc0010010, 0xc0010015, 0xc001001a, 0xc0010055, 0xc0010112]) {
      expect(read(machine(MIB, "qemu64"), index)).toBe(0n);
      expect(read(machine(MIB, "kvm64"), index)).toBe("vector 13");
    }
    // No performance counters, which would have to count.
    expect(read(machine(MIB, "qemu64"), 0xc0010004)).toBe("vector 13");
    expect(read(machine(MIB, "qemu64"), 0x1a0)).toBe("vector 13");
    expect(read(machine(MIB, "kvm64"), 0x1a0)).toBe(1n);
  });

  it("the microcode's revision stands where the vendor puts it, and is not changed by writing", () => {
    expect(read(machine(MIB, "qemu64"), 0x8b)).toBe(0x01000065n);
    expect(write(machine(MIB, "qemu64"), 0x8b, 0n)).toBe("vector 13");
    expect(write(machine(MIB, "kvm64"), 0x8b, 0n)).toBe(1n << 32n);
  });
});
