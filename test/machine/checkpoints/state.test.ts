import { describe, expect, it } from "vitest";
import type { Machine } from "../../../src/machine/machine";
import { Guest, MIB } from "../../support/bootProgram";
import { graphOf } from "../../support/machineGraph";
import { machineWith } from "../../support/randomProgram";

/** Gives every port something, and asks it. */
function disturbDevices(machine: Machine, seed: number): void {
  machine.want([]);
  for (let i = 0; i < 4000; i++) {
    const port = (i * 37 + seed) % 0x400;
    // Neither reset lines nor the debug exit.
    if (port === 0x64 || port === 0x92 || (port >= 0xf4 && port <= 0xf7)) continue;
    machine.io.out(port, 1, (i * 11 + seed) & 0xff);
    machine.io.in((port * 3 + 1) % 0x400, 1);
  }
}

function expectRestored(machine: Machine, goOn: () => void): void {
  const state = machine.save();
  const before = graphOf(machine);
  goOn();
  const between = graphOf(machine);
  machine.restore(state);
  const after = graphOf(machine);
  expect([...between].filter(([path, value]) => before.get(path) !== value).length).toBeGreaterThan(3);
  const different = [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path) !== after.get(path),
  );
  expect(different).toEqual([]);
}

describe("the machine's state as data", () => {
  it("holds every field of the machine and of its parts", () => {
    const machine = machineWith(Uint8Array.from([0x48, 0xff, 0xc0, 0xe9, 0xf8, 0xff, 0xff, 0xff]), 16);
    machine.run(100);
    disturbDevices(machine, 3);
    expectRestored(machine, () => {
      disturbDevices(machine, 8);
      machine.run(77);
      machine.cpu.setRegister(3, 5n);
      machine.cpu.msrs.set(0x277, 1n);
      machine.cpu.dr[6] = 1n;
    });
  });

  it("holds those of a boot, with the tables that were walked and the roots", () => {
    const { machine } = new Guest("early-fault");
    machine.want([]);
    machine.run(200_000);
    expectRestored(machine, () => machine.run(300_000));
  });

  it("holds those of a domain and its hypervisor", () => {
    const { machine } = new Guest("direct-map", { variant: "xen" }, { memory: 64 * MIB });
    machine.want([]);
    machine.run(20_000);
    expectRestored(machine, () => machine.run(30_000));
  });

  it("is plain data: what happens later does not show in it", () => {
    const machine = machineWith(Uint8Array.from([0x48, 0xff, 0xc0, 0xe9, 0xf8, 0xff, 0xff, 0xff]));
    machine.run(100);
    const state = machine.save();
    const copy = structuredClone(state);
    disturbDevices(machine, 5);
    machine.run(100);
    expect(state).toEqual(copy);
  });

  it("makes each device of the bus behave as it did", () => {
    const machine = machineWith(Uint8Array.from([0x90]));
    disturbDevices(machine, 1);
    const answers = () => {
      const all: number[] = [];
      for (let port = 0; port < 0x1000; port++) all.push(machine.io.in(port, 1), machine.io.in(port, 1));
      return all;
    };
    const state = machine.io.save();
    expect(state.length).toBeGreaterThanOrEqual(8);
    const first = answers();
    disturbDevices(machine, 2);
    expect(answers()).not.toEqual(first);
    machine.io.restore(state);
    expect(answers()).toEqual(first);
  });
});
