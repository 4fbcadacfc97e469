import { describe, expect, it } from "vitest";
import { finish, History } from "../../../src/machine/checkpoints/history";
import { Guest, type GuestOptions, MIB } from "../../support/bootProgram";
import { digest } from "../../support/machineDigest";

interface Boot {
  readonly name: string;
  readonly program: string;
  readonly settings: Record<string, string>;
  readonly options: GuestOptions;
}

const BOOTS: readonly Boot[] = [
  { name: "early-fault", program: "early-fault", settings: {}, options: { memory: 256 * MIB } },
  { name: "direct-map", program: "direct-map", settings: {}, options: { memory: 128 * MIB } },
  {
    name: "direct-map as a domain",
    program: "direct-map",
    settings: { variant: "xen" },
    options: { memory: 64 * MIB },
  },
  { name: "i386-paravirt", program: "i386-paravirt", settings: {}, options: { memory: 64 * MIB } },
];

/** A fixed sequence that looks random. */
function* numbers(seed: number): Generator<number> {
  for (let x = seed; ; ) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    yield x / 2 ** 32;
  }
}

describe.each(BOOTS)("$name, gone through forwards and backwards", ({ program, settings, options }) => {
  it("is the same at each instruction however it was reached", () => {
    const end = 512 * MIB;
    const guest = new Guest(program, settings, options);
    const { machine } = guest;
    const history = new History(machine, 64 * MIB);
    while (machine.ended === undefined && machine.instructions < 3_000_000) history.run(400_000);
    const length = history.end.instruction;
    const random = numbers(7);
    const places = Array.from({ length: 8 }, () => Math.floor(random.next().value * length));
    const backwards = new Map<number, string>();
    for (const place of places) {
      finish(history.travel(place));
      if (machine.instructions > 100) finish(history.travel(machine.instructions - 37));
      finish(history.travel(place));
      history.run(1000);
      finish(history.travel(place));
      backwards.set(place, digest(machine, end));
    }
    expect(history.divergences).toBe(0);
    const straight = new Guest(program, settings, options);
    straight.machine.mute(true);
    for (const place of [...places].sort((a, b) => a - b)) {
      straight.machine.run(place - straight.machine.instructions);
      expect(backwards.get(place) === digest(straight.machine, end), `at instruction ${place}`).toBe(true);
    }
  });
});
