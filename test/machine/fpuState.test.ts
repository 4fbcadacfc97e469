/** x87 and SSE state: what initialises, saves and restores it (SDM vol. 2). */
import { describe, expect, it } from "vitest";
import { CR0, CR4, DATA, haltedIn, type LongModeOptions, longMode, runToEnd } from "../support/longMode";

const UD = 6;
const NM = 7;
const GP = 13;
const OSFXSR = 0x200;
const TS = 8;
const EM = 4;

function run(code: string, options: LongModeOptions = {}, prepare?: (memory: Uint8Array) => void) {
  const image = new Uint8Array(512);
  prepare?.(image);
  const machine = longMode(`${code} f4`, {
    cr4: CR4 | OSFXSR,
    ...options,
    registers: { rdi: BigInt(DATA), rsi: BigInt(DATA + 1024), ...options.registers },
  });
  machine.memory.writeBytes(DATA, image);
  machine.memory.fill(DATA + 1024, 512, 0xcc);
  runToEnd(machine, 100);
  return {
    vector: haltedIn(machine) < 0 ? undefined : haltedIn(machine),
    saved: machine.memory.readBytes(DATA + 1024, 512),
    machine,
  };
}

const FXRSTOR = "48 0f ae 0f";
const FXSAVE = "48 0f ae 06";

/** An image whose every byte tells its place, with a valid MXCSR. */
function pattern(image: Uint8Array): void {
  for (let i = 0; i < 512; i++) image[i] = (i * 7 + 1) & 0xff;
  image.set([0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0], 24);
}

describe("FXRSTOR and FXSAVE", () => {
  it("bring back the registers, and leave alone what is software's or reserved", () => {
    const source = new Uint8Array(512);
    pattern(source);
    const { saved } = run(`${FXRSTOR} ${FXSAVE}`, {}, pattern);
    // MXCSR and its mask, XMM0 to XMM15.
    expect([...saved.subarray(24, 32)]).toEqual([0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0]);
    expect([...saved.subarray(160, 416)]).toEqual([...source.subarray(160, 416)]);
    for (let st = 0; st < 8; st++) {
      const at = 32 + 16 * st;
      expect([...saved.subarray(at, at + 16)]).toEqual([...source.subarray(at, at + 10), 0, 0, 0, 0, 0, 0]);
    }
    expect([...saved.subarray(416)].every((byte) => byte === 0xcc)).toBe(true);
  });

  it("without CR4.OSFXSR leave the XMM registers out", () => {
    const { saved } = run(FXSAVE, { cr4: CR4 });
    expect([...saved.subarray(160)].every((byte) => byte === 0xcc)).toBe(true);
  });

  it("are #GP where MXCSR has a reserved bit, and the state stays as it was", () => {
    const { vector, machine } = run(FXRSTOR, {}, (image) => {
      pattern(image);
      image[26] = 1;
    });
    expect(vector).toBe(GP);
    expect([machine.cpu.fpu.mxcsr, machine.cpu.fpu.control, machine.cpu.fpu.image[160]]).toEqual([
      0x1f80, 0x37f, 0,
    ]);
  });

  it("are #GP at an address that is no multiple of 16", () => {
    expect(run(FXSAVE, { registers: { rsi: BigInt(DATA + 8) } }).vector).toBe(GP);
  });
});

describe("The x87 control and status words", () => {
  it("FNINIT makes them 37FH and 0", () => {
    // fldcw [rdi]; fninit; fnstcw [rsi]; fnstsw ax
    const { saved, machine } = run("d9 2f db e3 d9 3e b8 ff ff 00 00 df e0", {}, (image) =>
      image.set([0x72, 0x02]),
    );
    expect([saved[0] | (saved[1] << 8), machine.cpu.getRegister(0)]).toEqual([0x37f, 0n]);
  });

  it("FLDCW keeps the bits that exist", () => {
    const { saved } = run("d9 2f d9 3e", {}, (image) => image.set([0xff, 0xff]));
    expect(saved[0] | (saved[1] << 8)).toBe(0x1f7f);
  });
});

describe("FILD and EMMS", () => {
  /** fild of [rdi], then fxsave: the ten bytes of ST0. */
  const loaded = (code: string, bytes: number[]) => {
    const { saved } = run(`${code} ${FXSAVE}`, {}, (image) => image.set(bytes));
    expect([saved[4], ((saved[3] << 8) | saved[2]) >> 11]).toEqual([0x80, 7]);
    const view = new DataView(saved.buffer, saved.byteOffset);
    return `${view.getUint16(40, true).toString(16)} ${view.getBigUint64(32, true).toString(16)}`;
  };

  it("loads integers as the 80-bit format has them", () => {
    // Encodings by SDM vol. 1, 4.2.2.
    expect(loaded("df 07", [1, 0])).toBe("3fff 8000000000000000");
    expect(loaded("db 07", [0, 0, 0, 0])).toBe("0 0");
    expect(loaded("db 07", [0xfd, 0xff, 0xff, 0xff])).toBe("c000 c000000000000000");
    expect(loaded("df 2f", [0, 0, 0, 0, 0, 0, 0, 0x80])).toBe("c03e 8000000000000000");
    expect(loaded("df 2f", [1, 0, 0, 0, 1, 0, 0, 0])).toBe("401f 8000000080000000");
  });

  it("pushes: what was ST0 becomes ST1; EMMS makes all registers empty", () => {
    const { saved } = run(`df 07 df 47 02 ${FXSAVE}`, {}, (image) => image.set([1, 0, 2, 0]));
    expect([saved[4], saved[32 + 9], saved[32 + 8], saved[48 + 9], saved[48 + 8]]).toEqual([
      0xc0, 0x40, 0x00, 0x3f, 0xff,
    ]);
    expect(run(`df 07 df 07 0f 77 ${FXSAVE}`).saved[4]).toBe(0);
  });

  it("stops the machine in words where the stack is full", () => {
    const { machine } = run("df 07 ".repeat(9).trim());
    expect(machine.ended).toMatchObject({
      event: "unimplemented",
      reason: "FILD onto a full x87 stack: this machine has no x87 exceptions",
    });
  });
});

describe("LDMXCSR and STMXCSR", () => {
  it("hold what is written, and refuse reserved bits", () => {
    // ldmxcsr [rdi]; stmxcsr [rsi]
    const load = (value: number) =>
      run("0f ae 17 0f ae 1e", {}, (image) => new DataView(image.buffer).setUint32(0, value, true));
    expect([...load(0xffff).saved.subarray(0, 4)]).toEqual([0xff, 0xff, 0, 0]);
    expect(load(0x10000).vector).toBe(GP);
  });
});

it.each([
  ["FNINIT", "db e3", NM, NM, undefined],
  ["FNSTSW", "df e0", NM, NM, undefined],
  ["FXSAVE", FXSAVE, NM, NM, undefined],
  ["STMXCSR", "0f ae 1e", NM, UD, UD],
])("%s with CR0.TS, with CR0.EM, without CR4.OSFXSR", (_name, code, ts, em, without) => {
  expect(run(code, { cr0: CR0 | TS }).vector).toBe(ts);
  expect(run(code, { cr0: CR0 | EM }).vector).toBe(em);
  expect(run(code, { cr4: CR4 }).vector).toBe(without);
});

it.each([
  ["fpu", "db e3"],
  ["fxsr", FXSAVE],
  ["sse", "0f ae 1e"],
])("a CPU without %s has none of its instructions: #UD", (feature, code) => {
  expect(run(code, { cpu: `max,-${feature}` }).vector).toBe(UD);
});
