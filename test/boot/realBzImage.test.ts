/** Debian's kernels, where they are in the cache: <cache>/<flavour>/boot/vmlinuz-*. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Boot, bootImage } from "../../src/boot/boot";
import { loadableSegments } from "../../src/boot/executable";
import { parseCpu } from "../../src/machine/cpu/model";
import { targetOf } from "../../src/target/launch";
import { skipReason, vmlinuzOf } from "../support/linux/kernels";

/** linux-image-cloud-amd64's payload is LZ4, which its own decompressor needs some 100 million instructions for. */
const FLAVOUR = "cloud-amd64";
const CMDLINE = "nokaslr";

const path = vmlinuzOf(FLAVOUR);
const reason = path === undefined ? ` (${skipReason(FLAVOUR)})` : "";

describe.skipIf(path === undefined)(`Debian's ${FLAVOUR} kernel${reason}`, () => {
  const bytes = path === undefined ? new Uint8Array(0) : readFileSync(path);
  const run = (boot: Boot, to: bigint) => {
    const { machine } = targetOf(boot, parseCpu("qemu64"), "max", "");
    machine.setBreakpoints([to]);
    const result = machine.run(400_000_000, false);
    return { machine, reason: result.reason };
  };

  test.each([
    ["at its own place", 0],
    ["16 MiB above it", 0x1000000],
  ])("is decompressed by itself, %s, to what the payload holds", (_, delta) => {
    const load = delta === 0 ? {} : { load: 0x1000000 + delta };
    const boot = bootImage(bytes, { entry: "linux64-compressed", cmdline: CMDLINE, ...load });
    const entry = boot.image.entry + BigInt(delta);
    const stop = run(boot, entry);
    expect(stop.reason).toBe("breakpoint");
    expect(stop.machine.cpu.rip).toBe(entry);
    for (const { segment, physical } of loadableSegments(boot.image)) {
      const found = stop.machine.memory.readBytes(physical + delta, segment.fileSize);
      // Not by toEqual, which would take minutes over these megabytes.
      expect(Buffer.compare(found, boot.image.segmentData(segment))).toBe(0);
    }
  });

  test.each([0, 0x1000000])("moved by %i reaches its own page tables and virtual addresses", (delta) => {
    const load = delta === 0 ? {} : { load: 0x1000000 + delta };
    const boot = bootImage(bytes, { cmdline: CMDLINE, ...load });
    expect(boot).toMatchObject({ entry: "linux64", loadDelta: delta });
    const { machine } = targetOf(boot, parseCpu("qemu64"), "max", "");
    machine.run(300_000, false);
    expect(machine.cpu.rip).toBeGreaterThanOrEqual(0xffffffff81000000n);
  });
});
