/** Hypercalls: numbers, arguments, answers and error numbers of a 64-bit domain. */
import { beforeEach, describe, expect, test } from "vitest";
import { CpuFault } from "../../src/machine/cpu/fault";
import { MMUEXT } from "../../src/xen/abi";
import { TestDomain } from "../support/xenDomain";

const [ENOSYS, EFAULT, EINVAL, ESRCH] = [-38, -14, -22, -3];
const RSP = 4;

describe("hypercalls", () => {
  let domain: TestDomain;
  const word = (index: number) => domain.machine.memory.read64(domain.mfn(8) * 4096 + 8 * index);

  beforeEach(() => {
    domain = new TestDomain();
  });

  test("unknown numbers and parts that are not there answer ENOSYS", () => {
    expect(domain.call(99)).toBe(ENOSYS);
    expect(domain.refusal).toBe("hypercall 99 is not supported");
    expect(domain.call(12, 77, 0)).toBe(ENOSYS);
    expect(domain.extended(18, 0)).toBe(ENOSYS);
  });

  test("arguments that cannot be read answer EFAULT, other domains ESRCH", () => {
    expect(domain.call(1, 0x1000, 1, 0, 0x7ff0)).toBe(EFAULT);
    expect(domain.call(1, domain.argument(), 1, 0, 5)).toBe(ESRCH);
  });

  test("mmu_update stops at the first failure, and tells how many succeeded", () => {
    domain.protect(3);
    domain.extended(MMUEXT.PIN_L1_TABLE, domain.mfn(3));
    const entry = BigInt(domain.mfn(3)) * 4096n;
    const requests = domain.argument(
      entry,
      BigInt(domain.mfn(4)) * 4096n + 0x61n,
      entry + 8n,
      0x61n,
      entry + 16n,
      0,
      0xabcd,
    );
    expect(domain.call(1, requests, 3, requests + 48n, 0x7ff0)).toBe(EINVAL);
    expect(word(6) & 0xffffffffn).toBe(1n);
    expect(domain.entry(domain.mfn(3), 0)).not.toBe(0n);
  });

  test("mmu_update writes the M2P, and plain memory where it is no table", () => {
    const mfn = domain.mfn(5);
    const { m2p } = domain.domain.hypervisorFrames;
    expect(domain.call(1, domain.argument(BigInt(mfn) * 4096n + 1n, 0x1234), 1, 0, 0x7ff0)).toBe(0);
    expect(domain.machine.memory.read64(m2p * 4096 + 8 * mfn)).toBe(0x1234n);
    expect(domain.update(mfn, 3, 0x77n)).toBe(0);
    expect(domain.entry(mfn, 3)).toBe(0x77n);
    expect(domain.call(1, domain.argument(BigInt(mfn) * 4096n + 4n, 0), 1, 0, 0x7ff0)).toBe(EINVAL);
    expect(domain.call(1, domain.argument(BigInt(mfn) * 4096n + 3n, 0), 1, 0, 0x7ff0)).toBe(ENOSYS);
  });

  test("an update may keep accessed and dirty", () => {
    domain.protect(3);
    domain.extended(MMUEXT.PIN_L1_TABLE, domain.mfn(3));
    const frame = BigInt(domain.mfn(4)) * 4096n;
    domain.update(domain.mfn(3), 0, frame + 0x65n);
    const keep = domain.argument(BigInt(domain.mfn(3) * 4096) + 2n, frame + 0x5n);
    expect(domain.call(1, keep, 1, 0, 0x7ff0)).toBe(0);
    expect(domain.entry(domain.mfn(3), 0) & 0xfffn).toBe(0x165n);
  });

  test("update_va_mapping finds the L1 entry, and refuses where there is none", () => {
    expect(domain.protect(4)).toBe(0);
    expect(domain.xen.isMapped(domain.address(4), true)).toBe(false);
    expect(domain.call(14, 0x123456000n, 0, 0)).toBe(EINVAL);
    expect(domain.refusal).toBe("no L1 table translates 0x123456000");
  });

  test("multicall runs each in order, whatever the others answer", () => {
    const list = domain.argument(99, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0);
    expect(domain.call(13, list, 2)).toBe(0);
    expect(BigInt.asIntN(64, word(1))).toBe(BigInt(ENOSYS));
    expect(word(9)).toBe(BigInt((4 << 16) | 17));
  });

  test("versions, features, memory map and M2P", () => {
    expect(domain.call(17, 0)).toBe((4 << 16) | 17);
    const features = domain.argument(0);
    expect(domain.call(17, 6, features)).toBe(0);
    expect(word(0)).toBe(BigInt((1 << 5) | (1 << 11)) << 32n);
    expect(domain.call(12, 12, domain.argument(0, 0, 0))).toBe(0);
    expect(word(0)).toBe(0xffff800000000000n);
    expect(word(2)).toBe(BigInt(domain.domain.frames.endMfn - 1));
    const query = domain.argument(4, domain.address(8) + 64n);
    expect(domain.call(12, 9, query)).toBe(0);
    expect([word(0), word(8), word(9)]).toEqual([1n, 0n, BigInt(OPTIONS_BYTES)]);
  });

  test("the console's lines are serial output, and a shutdown ends the machine", () => {
    domain.machine.memory.writeBytes(
      domain.mfn(9) * 4096,
      Uint8Array.from("hello\n", (c) => c.charCodeAt(0)),
    );
    expect(domain.call(18, 0, 6, domain.address(9))).toBe(0);
    expect(domain.events).toContainEqual(expect.objectContaining({ event: "serial", text: "hello" }));
    domain.call(29, 2, domain.argument(3));
    expect(domain.machine.ended).toMatchObject({ event: "exit", status: 3 });
  });

  test("pages are cleared and copied only where they can be written", () => {
    const { memory } = domain.machine;
    memory.write64(domain.mfn(9) * 4096, 77n);
    expect(
      domain.call(26, domain.argument(MMUEXT.COPY_PAGE, domain.mfn(10), domain.mfn(9)), 1, 0, 0x7ff0),
    ).toBe(0);
    expect(memory.read64(domain.mfn(10) * 4096)).toBe(77n);
    expect(domain.extended(MMUEXT.CLEAR_PAGE, domain.mfn(10))).toBe(0);
    expect(memory.read64(domain.mfn(10) * 4096)).toBe(0n);
    expect(domain.extended(MMUEXT.CLEAR_PAGE, domain.domain.root)).toBe(EINVAL);
  });

  test("descriptor pages: nothing may map them writable, and they give no privilege", () => {
    const list = domain.argument(domain.mfn(9));
    expect(domain.call(2, list, 8)).toBe(EINVAL);
    expect(domain.refusal).toContain(
      "is mapped writable (count 1), and cannot become a descriptor-table page",
    );
    domain.machine.memory.write64(domain.mfn(9) * 4096 + 8, 0x00af9a000000ffffn);
    domain.protect(9);
    expect(domain.call(2, list, 8)).toBe(0);
    expect(domain.machine.memory.read64(domain.mfn(9) * 4096 + 8)).toBe(0x00affb000000ffffn);
    expect(domain.protect(9, true)).toBe(EINVAL);
  });
});

const OPTIONS_BYTES = 4096 * 4096;

describe("exceptions", () => {
  test("bounce into the kernel's handler with RCX, R11 and the error code, and iret goes back", () => {
    const domain = new TestDomain();
    const { cpu, memory } = domain.machine;
    const handler = domain.address(2);
    const trap = (14n << 0n) | (4n << 8n) | (0xe033n << 16n);
    expect(domain.call(0, domain.argument(trap, handler, 0, 0))).toBe(0);
    cpu.setRegister(RSP, domain.address(12));
    cpu.setRegister(1, 0x11n);
    cpu.setRegister(11, 0xbbn);
    const [rip, rsp] = [cpu.rip, cpu.getRegister(RSP)];
    cpu.cr2 = 0xdead000n;
    domain.xen.deliver(new CpuFault().set(14, 6, "a write"));
    expect(cpu.rip).toBe(handler);
    expect(cpu.cpl).toBe(3);
    const frame = (index: number) => memory.read64(domain.mfn(11) * 4096 + 4096 - 64 + 8 * index);
    // The kernel's own faults carry no user bit; CS has RPL 0 and the event mask above.
    expect([0, 1, 2, 3, 4].map(frame)).toEqual([0x11n, 0xbbn, 2n, rip, 0xe030n | (1n << 32n)]);
    expect(frame(6)).toBe(rsp);
    expect(memory.read64(domain.domain.hypervisorFrames.sharedInfo * 4096 + 16)).toBe(0xdead000n);

    // rax, r11, rcx, flags, then the frame of the exception.
    const stack = domain.mfn(11) * 4096 + 2048;
    [5n, 6n, 7n, 0n, rip, 0xe030n, 0x202n, rsp, 0xe02bn].forEach((value, index) => {
      memory.write64(stack + 8 * index, value);
    });
    cpu.setRegister(RSP, domain.address(11) + 2048n);
    domain.call(23);
    expect([cpu.rip, cpu.getRegister(RSP), cpu.getRegister(0), cpu.getRegister(1)]).toEqual([
      rip,
      rsp,
      5n,
      7n,
    ]);
    expect(memory.read8(domain.domain.hypervisorFrames.sharedInfo * 4096 + 1)).toBe(0);
  });

  test("without a handler the domain crashes in words", () => {
    const domain = new TestDomain();
    expect(() => domain.xen.deliver(new CpuFault().set(13, 0, "a reason"))).toThrow(
      expect.objectContaining({ reason: "the domain has no handler for #GP, and crashes: a reason" }),
    );
  });
});

describe("what the guest may not do itself", () => {
  /** Runs one instruction of the guest. */
  function execute(domain: TestDomain, ...bytes: number[]): void {
    domain.machine.writePhysical(domain.mfn(0) * 4096, Uint8Array.from(bytes));
    domain.machine.step();
  }

  test("CR3 and CR0 are read as the guest's, CR3 is not written", () => {
    const domain = new TestDomain();
    const { cpu } = domain.machine;
    execute(domain, 0x0f, 0x20, 0xd8);
    expect(cpu.getRegister(0)).toBe(BigInt(domain.domain.root) * 4096n);
    expect(domain.events.filter(({ event }) => event === "exception")).toEqual([]);
  });

  test("CPUID behind its prefix is the hypervisor's answer", () => {
    const domain = new TestDomain();
    const { cpu } = domain.machine;
    cpu.setRegister(0, 0x40000000n);
    execute(domain, 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2);
    expect(cpu.getRegister(3)).toBe(0x566e6558n);
    expect(cpu.rip).toBe(domain.domain.start.rip + 7n);
  });

  test.each([true, false])("a write to an L1 table is carried out with ptwr (%s), or faults", (ptwr) => {
    const domain = new TestDomain({ ptwr });
    const { cpu } = domain.machine;
    domain.protect(3);
    domain.extended(MMUEXT.PIN_L1_TABLE, domain.mfn(3));
    cpu.setRegister(3, domain.address(3) + 8n);
    cpu.setRegister(0, (BigInt(domain.mfn(4)) << 12n) | 0x61n);
    // mov [rbx], rax
    execute(domain, 0x48, 0x89, 0x03);
    expect(domain.entry(domain.mfn(3), 1) !== 0n).toBe(ptwr);
    expect(domain.events.some(({ event }) => event === "page-fault")).toBe(!ptwr);
  });

  test("a write that breaks a rule is refused, and the guest gets its page fault", () => {
    const domain = new TestDomain();
    const { cpu } = domain.machine;
    domain.protect(3);
    domain.extended(MMUEXT.PIN_L1_TABLE, domain.mfn(3));
    cpu.setRegister(3, domain.address(3));
    cpu.setRegister(0, (BigInt(domain.mfn(3)) << 12n) | 0x63n);
    execute(domain, 0x48, 0x89, 0x03);
    expect(domain.refusal).toContain("in use as an L1 table");
    expect(domain.entry(domain.mfn(3), 0)).toBe(0n);
    expect(domain.events.some(({ event }) => event === "page-fault")).toBe(true);
  });
});
