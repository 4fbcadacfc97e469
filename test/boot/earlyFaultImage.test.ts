import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type BootOptions, bootProgram, programImage, requireProgram } from "../../src/boot/boot";
import { parseCpu } from "../../src/machine/cpu/model";
import { Machine } from "../../src/machine/machine";
import { Symbols } from "../../src/symbols/symbols";
import { GIB, MIB } from "./images";

const program = requireProgram("early-fault");
const fields = ["pool", "gbpages", "checksum", "stray"];

function start(given: Record<string, string>, options: BootOptions = {}) {
  const settings = new Map(Object.entries(given));
  const bytes = readFileSync(new URL(`../../guests/${programImage(program, settings)}`, import.meta.url));
  return bootProgram(program, settings, bytes, options);
}

/** Runs to the end; the text on the serial port, and the status of the exit. */
function run(given: Record<string, string>, options: BootOptions = {}) {
  const boot = start(given, options);
  const machine = new Machine({ ram: boot.ram, cpu: parseCpu("max") });
  boot.apply(machine.memory);
  machine.start(boot.start);
  let text = "";
  machine.onEvent = (event) => {
    if (event.event === "serial") text += event.text;
    return false;
  };
  const result = machine.run(20_000_000);
  const status = result.reason === "ended" && result.event.event === "exit" ? result.event.status : result;
  return { status, text };
}

describe.each(["merged", "prototype"])("the %s image of early-fault", (revision) => {
  test("has room for exactly the settings that are written into it", () => {
    const boot = start({ revision });
    const symbols = Symbols.fromElf(boot.image, { loadDelta: boot.loadDelta });
    expect(symbols.sizeOf("boot_settings")).toBe(BigInt(4 * fields.length));
  });

  test("boots, and finds the command line, the ramdisk and the memory that it was given", () => {
    const { status, text } = run({ revision }, { cmdline: "hello from the loader" });
    expect(text).toContain("hello from the loader");
    expect(text).toContain("kernel/x86/microcode/GenuineIntel.bin");
    expect(text).toContain("ok");
    expect(status).toBe(0);
  });
});

describe("the merged image of early-fault", () => {
  test("boots with everything above 4 GiB", () => {
    const places = { load: "5G", boot_params: "6G", cmdline_at: "7G", ramdisk_at: "8G" };
    const { status, text } = run({ ...places, microcode: "amd" }, { memory: 16 * GIB });
    expect(text).toContain("AuthenticAMD.bin at 20000");
    expect(status).toBe(0);
  });

  test("boots without memory below 4 GiB", () => {
    expect(run({ e820: "4G-5G:usable,600G-601G:usable", load: "600G" }).status).toBe(0);
  });

  test("walks a ramdisk of 96 GiB", () => {
    const { status, text } = run({ ramdisk: "96G" }, { memory: 128 * GIB });
    expect(text).toContain("ramdisk: 100 files");
    expect(status).toBe(0);
  });

  test("boots with each setting at its ends", () => {
    for (const settings of [{ pool: "4" }, { pool: "64" }, { gbpages: "off" }, { checksum: "on" }]) {
      expect([settings, run(settings as Record<string, string>, { memory: 256 * MIB }).status]).toEqual([
        settings,
        0,
      ]);
    }
  });
});
