/** Exceptions of 32-bit guests, the way back, and the descriptors that they bring. */
import { describe, expect, test } from "vitest";
import { image32, TestDomain, VIRT_BASE_32 } from "../support/xenDomain";

const ENTRY = Number(VIRT_BASE_32);
const EINVAL = -22;
const [EAX, ESP] = [0, 4];
const KERNEL_CS = 0xe019;
const USER_CS = 0xe02b;
const USER_SS = 0xe033;
const IRET = ENTRY + 0x1000 + 23 * 32;
const HANDLER = ENTRY + 0x100;
const UD2 = [0x0f, 0x0b];
const MASK_EVENTS = 4;
const IF = 0x200;

/** A domain with code at its entry, and a handler that is not run into; traps by vector with their flags. */
function withCode(code: number[], traps: Record<number, number> = {}): TestDomain {
  const domain = new TestDomain({ image: image32([], code) });
  const entries = Object.entries(traps).map(
    ([vector, flags]) =>
      BigInt(vector) | (BigInt(flags) << 8n) | (BigInt(KERNEL_CS) << 16n) | (BigInt(HANDLER) << 32n),
  );
  expect(domain.call(0, domain.argument(...entries, 0))).toBe(0);
  return domain;
}

/** Runs one instruction that has no exception. */
function step(domain: TestDomain): void {
  domain.machine.run(1);
}

/** Runs into an exception, up to the first instruction of its handler. */
function trap(domain: TestDomain): void {
  domain.machine.setBreakpoints([BigInt(HANDLER)]);
  domain.machine.run(10);
  domain.machine.setBreakpoints([]);
}

function eip(domain: TestDomain): number {
  return Number(domain.machine.cpu.rip);
}

/** Words from ESP on. */
function stack(domain: TestDomain, count: number): number[] {
  const sp = Number(domain.machine.cpu.getRegister(ESP)) - ENTRY;
  return Array.from({ length: count }, (_, i) => wordAt(domain, sp + 4 * i));
}

const placeOf = (domain: TestDomain, offset: number) =>
  domain.mfn(Math.floor(offset / 4096)) * 4096 + (offset % 4096);
const wordAt = (domain: TestDomain, offset: number) =>
  domain.machine.memory.read32(placeOf(domain, offset)) >>> 0;

/** Has the guest's stack begin with these words. */
function push(domain: TestDomain, ...words: number[]): void {
  const { cpu, memory } = domain.machine;
  const sp = Number(cpu.getRegister(ESP)) - 4 * words.length;
  words.forEach((word, i) => {
    memory.write32(placeOf(domain, sp - ENTRY + 4 * i), word);
  });
  cpu.setRegister(ESP, BigInt(sp));
}

/** Goes on in user mode at an address, with the kernel's stack for exceptions set. */
function enterUser(domain: TestDomain, address: number, flags = IF): void {
  expect(domain.call(3, 0xe021, ENTRY + 0x8000)).toBe(0);
  push(domain, 0, address, USER_CS, flags, ENTRY + 0x9000, USER_SS);
  domain.call(23);
}

const masked = (domain: TestDomain) => domain.machine.memory.read8(domain.xen.vcpu.info + 1);

describe("exceptions", () => {
  test("the handler is entered on the same stack in ring 1: EIP, CS with the saved event mask, EFLAGS", () => {
    const domain = withCode(UD2, { 6: 0 });
    trap(domain);
    expect(eip(domain)).toBe(HANDLER);
    expect(domain.machine.cpu.cpl).toBe(1);
    // Events are masked at the entry: IF, as the guest has it, is clear.
    expect(stack(domain, 3)).toEqual([ENTRY, KERNEL_CS | (1 << 16), 2]);
    expect(masked(domain)).toBe(1);
  });

  test("a handler can have events masked, and what they were is saved", () => {
    const domain = withCode(UD2, { 6: MASK_EVENTS });
    domain.machine.memory.write8(domain.xen.vcpu.info + 1, 0);
    trap(domain);
    expect(stack(domain, 3)).toEqual([ENTRY, KERNEL_CS, IF | 2]);
    expect(masked(domain)).toBe(1);
  });

  test("a page fault has an error code below, without the user bit, and CR2 is where the guest reads it", () => {
    // mov eax, [0x1000]
    const domain = withCode([0xa1, 0x00, 0x10, 0, 0], { 14: 0 });
    trap(domain);
    expect(stack(domain, 2)).toEqual([0, ENTRY]);
    expect(domain.machine.memory.read32(domain.xen.vcpu.info + 8)).toBe(0x1000);
    // mov eax, cr2, which ring 1 may not: the hypervisor does it.
    const { cpu, memory } = domain.machine;
    memory.write32(placeOf(domain, HANDLER - ENTRY), 0x00d0200f);
    step(domain);
    expect(cpu.getRegister(EAX)).toBe(0x1000n);
    expect(eip(domain)).toBe(HANDLER + 3);
  });

  test("from user mode the stack is the kernel's, and SS:ESP is saved first", () => {
    const domain = withCode([], { 6: 0, 14: 0 });
    enterUser(domain, ENTRY + 0x200);
    expect(domain.machine.cpu.cpl).toBe(3);
    // The kernel's pages are not the user's: the fetch itself faults, with U and I/D.
    trap(domain);
    const { cpu } = domain.machine;
    expect([cpu.cpl, eip(domain)]).toEqual([1, HANDLER]);
    expect(cpu.getRegister(ESP)).toBe(BigInt(ENTRY + 0x8000 - 24));
    const [error, at, cs, flags, esp, ss] = stack(domain, 6);
    expect([error & 5, at, cs & 0xffff, flags & IF, esp, ss]).toEqual([
      5,
      ENTRY + 0x200,
      USER_CS,
      IF,
      ENTRY + 0x9000,
      USER_SS,
    ]);
  });

  test("without a handler the domain crashes", () => {
    const domain = withCode(UD2);
    trap(domain);
    expect(domain.machine.ended).toMatchObject({
      event: "halt",
      reason: expect.stringMatching(/^the domain has no handler for #UD, and crashes/),
    });
  });
});

describe("iret", () => {
  test("goes back with EAX, EFLAGS and the event mask of the frame", () => {
    // handler: add dword [esp], 2; jmp to the hypercall's slot
    const jump = IRET - (HANDLER + 4 + 5);
    const domain = withCode([...UD2, 0x90], { 6: MASK_EVENTS });
    const { cpu, memory } = domain.machine;
    memory.write8(domain.xen.vcpu.info + 1, 0);
    memory.writeBytes(
      placeOf(domain, HANDLER - ENTRY),
      Uint8Array.of(0x83, 0x04, 0x24, 2, 0xe9, jump, jump >> 8, jump >> 16, jump >> 24),
    );
    cpu.setRegister(EAX, 0x1234n);
    const sp = cpu.getRegister(ESP);
    trap(domain);
    expect(masked(domain)).toBe(1);
    domain.machine.run(5);
    expect(eip(domain)).toBe(ENTRY + 2);
    expect([cpu.getRegister(EAX), cpu.getRegister(ESP), cpu.cpl]).toEqual([0x1234n, sp, 1]);
    expect(masked(domain)).toBe(0);
  });

  test("leads to no more privilege than the guest has", () => {
    const domain = withCode([]);
    const iopl = 0x3000;
    push(domain, 0, ENTRY, 0xe018, iopl);
    domain.call(23);
    const { cpu } = domain.machine;
    expect([cpu.cpl, cpu.selectors[1]]).toEqual([1, KERNEL_CS]);
    // The machine's interrupts stay on; the guest's are masked, as its IF says.
    expect(cpu.rflags & (iopl | IF)).toBe(IF);
    expect(masked(domain)).toBe(1);
  });

  test("to user mode takes SS:ESP from the frame", () => {
    const domain = withCode([]);
    enterUser(domain, ENTRY + 0x200);
    const { cpu } = domain.machine;
    expect([cpu.cpl, cpu.selectors[1], cpu.selectors[2]]).toEqual([3, USER_CS, USER_SS]);
    expect([eip(domain), cpu.getRegister(ESP)]).toEqual([ENTRY + 0x200, BigInt(ENTRY + 0x9000)]);
  });
});

describe("INT n", () => {
  /** A domain in user mode, in a page that it may execute, at INT n. */
  function userInterrupt(vector: number, traps: Record<number, number>): TestDomain {
    const domain = withCode([], traps);
    domain.machine.memory.writeBytes(placeOf(domain, 0x3000), Uint8Array.of(0xcd, vector));
    const value = (domain.mfn(3) << 12) | 0x65;
    expect(domain.call(14, ENTRY + 0x3000, value, 0, 2)).toBe(0);
    const directory = domain.mfn(22);
    const link = domain.entry(directory, 0);
    expect(domain.update(directory, 0, link | 4n)).toBe(0);
    expect(domain.extended(6, 0)).toBe(0);
    enterUser(domain, ENTRY + 0x3000);
    trap(domain);
    return domain;
  }

  test("from user mode enters a handler of DPL 3, behind the instruction", () => {
    const domain = userInterrupt(0x80, { 128: 3 });
    expect([eip(domain), domain.machine.cpu.cpl]).toEqual([HANDLER, 1]);
    expect(stack(domain, 1)).toEqual([ENTRY + 0x3002]);
  });

  test.each([
    ["a handler for the kernel alone", 0x80, { 128: 1, 13: 0 }],
    ["a vector without a handler", 0x80, { 13: 0 }],
    ["the kernel's hypercalls", 0x82, { 13: 0 }],
  ])("from user mode is #GP at the instruction: %s", (_name, vector, traps) => {
    const domain = userInterrupt(vector, traps);
    expect(stack(domain, 2)).toEqual([8 * vector + 2, ENTRY + 0x3000]);
  });

  test("of the kernel enters a handler of DPL 1", () => {
    const domain = withCode([0xcd, 0x80], { 128: 1 });
    trap(domain);
    expect(stack(domain, 1)).toEqual([ENTRY + 2]);
  });
});

describe("descriptor tables", () => {
  const TABLE = 3;
  const flat = (access: number) => 0x00cf00000000ffffn | (BigInt(access) << 40n);
  const DATA_0 = 0x92;
  const CODE_0 = 0x9a;

  function withDescriptors(...descriptors: bigint[]): TestDomain {
    // mov ds, ax
    const domain = new TestDomain({ image: image32([], [0x8e, 0xd8]) });
    descriptors.forEach((descriptor, i) => {
      domain.machine.memory.write64(domain.mfn(TABLE) * 4096 + 8 * i, descriptor);
    });
    return domain;
  }
  const setGdt = (domain: TestDomain) => domain.call(2, domain.argument(domain.mfn(TABLE)), 512);

  test("a page that can be written cannot hold descriptors", () => {
    const domain = withDescriptors(0n, flat(DATA_0));
    expect(setGdt(domain)).toBe(EINVAL);
    expect(domain.refusal).toMatch(
      /is mapped writable \(count 1\), and cannot become a descriptor-table page$/,
    );
  });

  test("descriptors get the guest's privilege, and can be loaded", () => {
    const domain = withDescriptors(0n, flat(CODE_0), flat(DATA_0));
    expect(domain.protect(TABLE)).toBe(0);
    expect(setGdt(domain)).toBe(0);
    expect(domain.entry(domain.mfn(TABLE), 2)).toBe(flat(DATA_0 | 0x20 | 1));
    const { cpu } = domain.machine;
    cpu.setRegister(EAX, 0x11n);
    step(domain);
    expect([cpu.selectors[3], eip(domain)]).toEqual([0x11, ENTRY + 2]);
    expect(domain.protect(TABLE, true)).toBe(EINVAL);
  });

  test("system descriptors are refused", () => {
    const domain = withDescriptors(0n, flat(0x89));
    expect(domain.protect(TABLE)).toBe(0);
    expect(setGdt(domain)).toBe(EINVAL);
    expect(domain.refusal).toMatch(/^descriptor 1 of .* is a system descriptor$/);
  });

  test("the hypervisor's own selectors stay", () => {
    const domain = withDescriptors(0n);
    expect(domain.protect(TABLE)).toBe(0);
    expect(setGdt(domain)).toBe(0);
    domain.machine.cpu.setRegister(EAX, 0xe021n);
    step(domain);
    expect([domain.machine.cpu.selectors[3], eip(domain)]).toEqual([0xe021, ENTRY + 2]);
    expect(domain.call(2, domain.argument(domain.mfn(TABLE)), 0xe000 / 8 + 1)).toBe(EINVAL);
  });
});
