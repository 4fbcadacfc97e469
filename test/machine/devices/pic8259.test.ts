/** The 8259A pair (Intel 8259A data sheet): priorities, ends of interrupts, modes, and the cascade. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PicPair } from "../../../src/machine/devices/picPair";

const EOI = 0x20;

/** A pair at vectors 20H and 28H, all unmasked. */
function pair(icw4 = 1) {
  let changes = 0;
  const pics = new PicPair(
    () => {},
    () => {
      changes++;
    },
  );
  const out = (port: number, value: number) => pics.write(port, 1, value);
  for (const [port, vector, wiring] of [
    [0x20, 0x20, 4],
    [0xa0, 0x28, 2],
  ]) {
    out(port, 0x11);
    out(port + 1, vector);
    out(port + 1, wiring);
    out(port + 1, icw4);
  }
  return {
    pics,
    out,
    changes: () => changes,
    pulse(line: number) {
      pics.setLine(line, true);
      pics.setLine(line, false);
    },
    /** The vector that the CPU takes now; undefined where nothing is requested. */
    take: () => (pics.requested ? pics.acknowledge() : undefined),
    irr(port = 0x20): number {
      out(port, 0x0a);
      return pics.read(port);
    },
    isr(port = 0x20): number {
      out(port, 0x0b);
      return pics.read(port);
    },
  };
}

describe("An 8259A", () => {
  it("as firmware leaves it has its masks and vectors of real mode, and the lines of PCI level-triggered", () => {
    const pics = new PicPair(
      () => {},
      () => {},
    );
    expect([0x21, 0xa1, 0x4d0, 0x4d1].map((port) => pics.read(port))).toEqual([0xb8, 0x8e, 0x00, 0x0c]);
    pics.setLine(0, true);
    expect(pics.acknowledge()).toBe(0x08);
  });

  it("gives the lowest line first, holds back lines up to the one in service, and lets higher ones in", () => {
    const pic = pair();
    for (const line of [6, 4, 3]) pic.pulse(line);
    expect([pic.irr(), pic.isr()]).toEqual([0x58, 0]);
    expect(pic.take()).toBe(0x23);
    expect([pic.irr(), pic.isr()]).toEqual([0x50, 0x08]);
    expect(pic.take()).toBeUndefined();
    pic.pulse(1);
    expect(pic.take()).toBe(0x21);
    pic.out(0x20, EOI);
    expect([pic.isr(), pic.take()]).toEqual([0x08, undefined]);
    pic.out(0x20, EOI);
    expect(pic.take()).toBe(0x24);
  });

  it("ends a specific interrupt where it is told which", () => {
    const pic = pair();
    pic.pulse(5);
    pic.take();
    pic.pulse(1);
    pic.take();
    pic.out(0x20, 0x65);
    expect(pic.isr()).toBe(0x02);
  });

  it("keeps an edge until it is acknowledged, and takes one level for one edge", () => {
    const pic = pair();
    pic.pics.setLine(3, true);
    expect(pic.take()).toBe(0x23);
    pic.out(0x20, EOI);
    pic.pics.setLine(3, true);
    expect(pic.take()).toBeUndefined();
    pic.pics.setLine(3, false);
    pic.pics.setLine(3, true);
    expect(pic.take()).toBe(0x23);
  });

  it("asks again and again for a level-triggered line, as long as it is high", () => {
    const pic = pair();
    pic.out(0x4d1, 0xff);
    expect(pic.pics.read(0x4d1)).toBe(0xde);
    pic.pics.setLine(10, true);
    for (let i = 0; i < 3; i++) {
      expect(pic.take()).toBe(0x2a);
      pic.out(0xa0, EOI);
      pic.out(0x20, EOI);
    }
    pic.pics.setLine(10, false);
    expect(pic.take()).toBeUndefined();
  });

  it("a masked line keeps its request, and holds back nobody", () => {
    const pic = pair();
    pic.out(0x21, 0x02);
    pic.pulse(1);
    pic.pulse(7);
    expect([pic.irr(), pic.take()]).toEqual([0x82, 0x27]);
    pic.out(0x20, EOI);
    pic.out(0x21, 0);
    expect(pic.take()).toBe(0x21);
  });

  it("gives line 7 and puts nothing in service where the request is gone at the acknowledge", () => {
    const pic = pair();
    pic.out(0x4d0, 0x20);
    pic.pics.setLine(5, true);
    expect(pic.pics.requested).toBe(true);
    pic.pics.setLine(5, false);
    expect([pic.pics.requested, pic.pics.acknowledge(), pic.isr()]).toEqual([false, 0x27, 0]);
  });

  it("with automatic EOI has nothing in service", () => {
    const pic = pair(3);
    pic.pulse(4);
    expect([pic.take(), pic.isr()]).toEqual([0x24, 0]);
  });

  it("rotates priorities: the line that was served, or the one that is named, becomes the last", () => {
    const pic = pair();
    pic.pulse(4);
    pic.take();
    pic.out(0x20, 0xa0);
    for (const line of [3, 4, 5]) pic.pulse(line);
    expect(pic.take()).toBe(0x25);
    pic.out(0x20, EOI);
    pic.out(0x20, 0xc2);
    expect(pic.take()).toBe(0x23);
  });

  it("in special mask mode lets lower lines in while the one in service is masked", () => {
    const pic = pair();
    pic.pulse(2 + 1);
    pic.take();
    pic.pulse(6);
    expect(pic.take()).toBeUndefined();
    pic.out(0x21, 0x08);
    expect(pic.take()).toBeUndefined();
    pic.out(0x20, 0x68);
    expect(pic.take()).toBe(0x26);
  });

  it("answers a poll with the line, which is in service then", () => {
    const pic = pair();
    pic.pulse(6);
    pic.out(0x20, 0x0c);
    expect([pic.pics.read(0x20), pic.isr()]).toEqual([0x86, 0x40]);
    pic.out(0x20, 0x0c);
    expect(pic.pics.read(0x20)).toBe(0);
  });

  it("forgets requests and service with ICW1", () => {
    const pic = pair();
    pic.pulse(3);
    pic.pulse(4);
    pic.take();
    pic.out(0x20, 0x11);
    expect([pic.irr(), pic.isr(), pic.pics.read(0x21)]).toEqual([0, 0, 0]);
  });
});

describe("The cascade", () => {
  it("takes the second one's vector, and both are in service until both are told", () => {
    const pic = pair();
    pic.pulse(12);
    expect(pic.take()).toBe(0x2c);
    expect([pic.isr(0x20), pic.isr(0xa0)]).toEqual([0x04, 0x10]);
    pic.pulse(9);
    expect(pic.take()).toBeUndefined();
    pic.out(0xa0, EOI);
    pic.out(0x20, EOI);
    expect(pic.take()).toBe(0x29);
  });

  it("stands between lines 1 and 3 in priority", () => {
    const pic = pair();
    for (const line of [3, 8, 1]) pic.pulse(line);
    const order: (number | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      order.push(pic.take());
      pic.out(0xa0, EOI);
      pic.out(0x20, EOI);
    }
    expect(order).toEqual([0x21, 0x28, 0x23]);
  });

  it("in special fully nested mode lets the second one interrupt itself", () => {
    const pic = pair(0x11);
    pic.pulse(12);
    pic.take();
    pic.pulse(9);
    expect(pic.take()).toBe(0x29);
  });

  it("is closed where the first one masks line 2", () => {
    const pic = pair();
    pic.out(0x21, 0x04);
    pic.pulse(12);
    expect([pic.take(), pic.pics.isUnmasked(12), pic.pics.isUnmasked(3)]).toEqual([undefined, false, true]);
  });
});

it("whatever was requested, each line comes once, in the order of priority", () => {
  const PRIORITY = [0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7];
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.constantFrom(...PRIORITY)),
      fc.integer({ min: 0, max: 0xffff }),
      (lines, mask) => {
        const pic = pair();
        pic.out(0x4d1, 0);
        const open = mask & ~4;
        pic.out(0x21, open & 0xff);
        pic.out(0xa1, open >> 8);
        for (const line of lines) pic.pulse(line);
        const taken: number[] = [];
        for (let vector = pic.take(); vector !== undefined; vector = pic.take()) {
          taken.push(vector - 0x20);
          if (vector >= 0x28) pic.out(0xa0, EOI);
          pic.out(0x20, EOI);
        }
        const expected = PRIORITY.filter((line) => lines.includes(line) && ((open >> line) & 1) === 0);
        expect(taken).toEqual(expected);
      },
    ),
  );
});
