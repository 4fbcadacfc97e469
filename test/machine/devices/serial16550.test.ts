import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Serial16550 } from "../../../src/machine/devices/serial16550";

const [DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7].map((it) => 0x3f8 + it);
const FCR = IIR;

function port() {
  const lines: string[] = [];
  const serial = new Serial16550((text) => lines.push(text));
  return {
    lines,
    serial,
    in: (at: number) => serial.read(at),
    out: (at: number, value: number) => serial.write(at, 1, value),
    print: (text: string) => {
      for (const character of text) serial.write(DATA, 1, character.charCodeAt(0));
    },
  };
}

describe("The interrupt line", () => {
  const OUT2 = 0x08;
  const make = () => {
    const levels: boolean[] = [];
    const serial = new Serial16550(
      () => {},
      (raised) => levels.push(raised),
    );
    return { levels, serial };
  };

  it("rises with an empty transmitter, falls when IIR names it, and rises again with the next byte", () => {
    const { levels, serial } = make();
    serial.write(0x3fc, 1, OUT2);
    serial.write(0x3f9, 1, 0x02);
    expect(levels).toEqual([true]);
    expect(serial.read(0x3fa)).toBe(0x02);
    expect(levels).toEqual([true, false]);
    serial.write(0x3f8, 1, 0x41);
    expect(levels).toEqual([true, false, true]);
    serial.write(0x3f9, 1, 0);
    expect(levels).toEqual([true, false, true, false]);
  });

  it("is cut off from the PC without OUT2, and in loopback", () => {
    const { levels, serial } = make();
    serial.write(0x3f9, 1, 0x02);
    serial.write(0x3fc, 1, OUT2 | 0x10);
    expect(levels).toEqual([]);
    serial.write(0x3fc, 1, OUT2);
    expect(levels).toEqual([true]);
  });
});

describe("What the guest sends through the 16550", () => {
  it("comes line by line, without line ends of either kind", () => {
    const com = port();
    com.print("one\r\ntwo\n\nthree");
    expect(com.lines).toEqual(["one", "two", ""]);
  });

  it("is handed on unfinished by a flush, once", () => {
    const com = port();
    com.print("panic: ");
    com.serial.flush();
    com.serial.flush();
    expect(com.lines).toEqual(["panic: "]);
    com.print("done\n");
    expect(com.lines).toEqual(["panic: ", "done"]);
  });

  it("is cut at 4096 characters where no line ends, so that nothing grows without bound", () => {
    const com = port();
    com.print("x".repeat(10_000));
    com.serial.flush();
    expect(com.lines.map((line) => line.length)).toEqual([4096, 4096, 1808]);
  });

  it("keeps all eight bits of a character", () => {
    const com = port();
    com.out(DATA, 0xe9);
    com.out(DATA, 0x0a);
    expect(com.lines).toEqual(["\u00e9"]);
  });

  it("is the same text however it is cut", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "\n", "\r"), maxLength: 200 });
    fc.assert(
      fc.property(text, (it) => {
        const com = port();
        com.print(it);
        com.serial.flush();
        const expected = it.replaceAll("\r", "").split("\n");
        if (expected.at(-1) === "") expected.pop();
        expect(com.lines).toEqual(expected);
      }),
      { seed: 16550, numRuns: 300 },
    );
  });
});

describe("The registers of the 16550", () => {
  it("start as QEMU's do: idle and empty, a listener at the other end, no interrupt pending", () => {
    const com = port();
    expect([com.in(LSR), com.in(IIR), com.in(MSR), com.in(IER)]).toEqual([0x60, 0x01, 0xb0, 0x00]);
  });

  it("DLAB puts the divisor latch before data and interrupt enable", () => {
    const com = port();
    com.out(IER, 0x05);
    com.out(LCR, 0x83);
    com.out(DATA, 0x34);
    com.out(IER, 0x12);
    expect([com.in(DATA), com.in(IER)]).toEqual([0x34, 0x12]);
    com.out(LCR, 0x03);
    expect([com.in(IER), com.in(LCR)]).toEqual([0x05, 0x03]);
    com.serial.flush();
    expect(com.lines).toEqual([]);
  });

  it("hold what was written, as far as they exist", () => {
    const com = port();
    for (const [at, kept] of [
      [IER, 0x0f],
      [MCR, 0x1f],
      [LCR, 0xff],
    ] as const) {
      com.out(at, 0xff);
      expect([at, com.in(at)]).toEqual([at, kept]);
      com.out(at, 0);
    }
    for (const value of [0x55, 0xaa]) {
      com.out(SCR, value);
      expect(com.in(SCR)).toBe(value);
    }
  });

  it("status registers take no writes", () => {
    const com = port();
    com.out(LSR, 0xff);
    com.out(MSR, 0);
    expect([com.in(LSR), com.in(MSR)]).toEqual([0x60, 0xb0]);
  });

  it("IIR shows the FIFOs once they are on", () => {
    const com = port();
    com.out(FCR, 0x01);
    expect(com.in(IIR)).toBe(0xc1);
    com.out(FCR, 0x00);
    expect(com.in(IIR)).toBe(0x01);
  });

  it("IIR names the empty transmitter once, and again after each byte", () => {
    const com = port();
    com.out(IER, 0x02);
    expect([com.in(IIR), com.in(IIR)]).toEqual([0x02, 0x01]);
    com.out(DATA, 0x41);
    expect([com.in(IIR), com.in(IIR)]).toEqual([0x02, 0x01]);
    com.out(IER, 0x00);
    com.out(DATA, 0x41);
    expect(com.in(IIR)).toBe(0x01);
  });
});

describe("Loopback of the 16550", () => {
  function looped() {
    const com = port();
    com.out(MCR, 0x10);
    return com;
  }

  it("gives back what is sent, and sends nothing outside", () => {
    const com = looped();
    com.out(DATA, 0x5a);
    expect([com.in(LSR), com.in(DATA), com.in(LSR)]).toEqual([0x61, 0x5a, 0x60]);
    com.serial.flush();
    expect(com.lines).toEqual([]);
  });

  it("turns the modem outputs into inputs, as probes for a UART expect", () => {
    const com = looped();
    for (const [out, back] of [
      [0x11, 0x20],
      [0x12, 0x10],
      [0x14, 0x40],
      [0x18, 0x80],
      [0x1a, 0x90],
      [0x1f, 0xf0],
    ]) {
      com.out(MCR, out);
      expect([out, com.in(MSR)]).toEqual([out, back]);
    }
  });

  it("has room for one byte: the next overruns it, and reading LSR forgets that", () => {
    const com = looped();
    com.out(DATA, 1);
    com.out(DATA, 2);
    expect([com.in(LSR), com.in(LSR), com.in(DATA), com.in(LSR)]).toEqual([0x63, 0x61, 2, 0x60]);
  });

  it("has room for sixteen bytes with FIFOs, and keeps the first on an overrun", () => {
    const com = looped();
    com.out(FCR, 0x01);
    for (let byte = 1; byte <= 20; byte++) com.out(DATA, byte);
    expect(com.in(LSR)).toBe(0x63);
    const received: number[] = [];
    while ((com.in(LSR) & 1) !== 0) received.push(com.in(DATA));
    expect(received).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
  });

  it("FCR empties the receiver", () => {
    const com = looped();
    com.out(FCR, 0x01);
    com.out(DATA, 1);
    com.out(FCR, 0x03);
    expect(com.in(LSR)).toBe(0x60);
  });

  it("received data is named before the empty transmitter", () => {
    const com = looped();
    com.out(IER, 0x03);
    com.out(DATA, 7);
    expect(com.in(IIR)).toBe(0x04);
    com.in(DATA);
    expect(com.in(IIR)).toBe(0x02);
  });
});
