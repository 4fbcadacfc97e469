import { expect, test } from "vitest";
import { bootImage } from "../../src/boot/boot";
import { parseCpu } from "../../src/machine/cpu/model";
import { Machine } from "../../src/machine/machine";
import { GIB, kernel, MIB } from "./images";

test("the 64-bit entry of Linux runs on the machine, on the identity map of the loader", () => {
  // cmp word [rsi + 0x1fe], 0xaa55; setne al; mov dx, 0xf4; out dx, al; hlt
  const code = Uint8Array.from([
    ...[0x66, 0x81, 0xbe, 0xfe, 0x01, 0x00, 0x00, 0x55, 0xaa],
    ...[0x0f, 0x95, 0xc0, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4],
  ]);
  const boot = bootImage(kernel({}, code), { memory: 1024 * GIB, load: 512 * GIB - 2 * MIB });
  const machine = new Machine({ ram: boot.ram, cpu: parseCpu("max") });
  boot.apply(machine.memory);
  machine.start(boot.start);
  expect(machine.run(100)).toMatchObject({ reason: "ended", event: { event: "exit", status: 0 } });
});
