/** A far transfer that is refused half way leaves everything as it was. */
import { describe, expect, it } from "vitest";
import { GP } from "../../src/machine/cpu/fault";
import { CODE, haltedIn, KERNEL_CS, longMode, runToEnd, STACK0, USER_CS, USER_DS } from "../support/longMode";

const RSP = STACK0 - 0x1000;
const NON_CANONICAL = 0x0000_9000_0000_0000n;
/** Where the faulting instruction's RIP, CS, RFLAGS, RSP, SS lie in the frame, above an error code. */
const frame = (machine: ReturnType<typeof longMode>, index: number) =>
  machine.memory.read64(Number(machine.cpu.getRegister(4)) + 8 + 8 * index);

/** Runs one instruction that must end in an exception; its vector, and what its frame says. */
function refused(code: string, stack: readonly bigint[], options: Parameters<typeof longMode>[1] = {}) {
  const machine = longMode(`${code} f4`, options);
  stack.forEach((value, index) => {
    machine.memory.write64(RSP + 8 * index, value);
  });
  runToEnd(machine);
  return { vector: haltedIn(machine), rip: frame(machine, 0), cs: frame(machine, 1), rsp: frame(machine, 3) };
}

const unchanged = { rip: BigInt(CODE), cs: BigInt(KERNEL_CS), rsp: BigInt(RSP) };

describe("a far transfer to an address that is not canonical is #GP, and changes nothing (SDM vol. 2)", () => {
  it("RETF", () => {
    expect(refused("48 cb", [NON_CANONICAL, BigInt(KERNEL_CS)])).toEqual({ vector: GP, ...unchanged });
  });

  it("RETF with bytes to release", () => {
    expect(refused("48 ca 10 00", [NON_CANONICAL, BigInt(KERNEL_CS)])).toEqual({ vector: GP, ...unchanged });
  });

  it("RETF to ring 3", () => {
    const stack = [NON_CANONICAL, BigInt(USER_CS), 0x30000n, BigInt(USER_DS)];
    expect(refused("48 cb", stack)).toEqual({ vector: GP, ...unchanged });
  });

  it("IRETQ to the same ring and to ring 3", () => {
    for (const cs of [KERNEL_CS, USER_CS]) {
      const stack = [NON_CANONICAL, BigInt(cs), 2n, 0x30000n, BigInt(cs === USER_CS ? USER_DS : 0)];
      expect(refused("48 cf", stack)).toEqual({ vector: GP, ...unchanged });
    }
  });

  it("CALL through memory, whose pushes do not count", () => {
    // rex.w call far [rsp]
    const stack = [NON_CANONICAL, BigInt(KERNEL_CS)];
    expect(refused("48 ff 1c 24", stack)).toEqual({ vector: GP, ...unchanged });
  });
});

describe("a return whose stack segment is refused is #GP, and changes nothing", () => {
  it.each([
    ["RETF", "48 cb", [0x200000n, BigInt(USER_CS), 0x30000n, BigInt(KERNEL_CS)]],
    ["IRETQ", "48 cf", [0x200000n, BigInt(USER_CS), 2n, 0x30000n, BigInt(KERNEL_CS)]],
  ] as const)("%s", (_name, code, stack) => {
    expect(refused(code, stack)).toEqual({ vector: GP, ...unchanged });
  });
});

it("a delivery that faults leaves the interrupted state for the double fault (SDM vol. 3A, 6.15)", () => {
  // A read at 1 GiB faults; the stack's page is not writable: #PF while delivering #PF. #DF comes on the IST stack.
  const machine = longMode("8b 04 25 00 00 00 40 f4", { registers: { rsp: 0x40000100n } });
  const gate = 0x6000 + 16 * 8;
  machine.memory.write64(gate, machine.memory.read64(gate) | (1n << 32n));
  runToEnd(machine);
  expect(haltedIn(machine)).toBe(8);
  expect([frame(machine, 0), frame(machine, 1), frame(machine, 3)]).toEqual([
    BigInt(CODE),
    BigInt(KERNEL_CS),
    0x40000100n,
  ]);
});
