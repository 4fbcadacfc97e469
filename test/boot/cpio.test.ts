import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { buildCpio, CPIO_FILE } from "../../src/boot/cpio";
import { microcodeRamdisk } from "../../src/boot/microcodeRamdisk";
import type { SparseFile } from "../../src/boot/ramdisk";

const GIB = 2 ** 30;

/** A walk as an early kernel does it: header by header, without reading data. */
function walk(file: SparseFile): { name: string; offset: number; size: number; data: number }[] {
  const piece = (offset: number) => file.pieces.find((candidate) => candidate.offset === offset)!.bytes;
  const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);
  const found = [];
  for (let offset = 0; ; ) {
    const header = piece(offset);
    expect(text(header.subarray(0, 6))).toBe("070701");
    const size = Number.parseInt(text(header.subarray(54, 62)), 16);
    const nameSize = Number.parseInt(text(header.subarray(94, 102)), 16);
    const name = text(header.subarray(110, 110 + nameSize - 1));
    const data = Math.ceil((offset + 110 + nameSize) / 4) * 4;
    found.push({ name, offset, size, data });
    offset = Math.ceil((data + size) / 4) * 4;
    if (name === "TRAILER!!!") {
      expect(offset).toBe(file.size);
      return found;
    }
  }
}

function wholeBytes(file: SparseFile): Uint8Array {
  const bytes = new Uint8Array(file.size);
  for (const { offset, bytes: piece } of file.pieces) bytes.set(piece, offset);
  return bytes;
}

function hasCpio(): boolean {
  try {
    execFileSync("cpio", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("a generated ramdisk", () => {
  test.each([4096, 65536, GIB, GIB + 4, 2 * GIB - 120, 64 * GIB, 1024 * GIB])(
    "of %d bytes is exactly as long",
    (size) => {
      const file = microcodeRamdisk({ size, microcode: "intel", position: "last" });
      expect(file.size).toBe(size);
      expect(walk(file).at(-2)!.name).toBe("kernel/x86/microcode/GenuineIntel.bin");
    },
  );

  test("has a header in each of its GiB", () => {
    const offsets = walk(microcodeRamdisk({ size: 70 * GIB, microcode: "amd", position: "last" }));
    const touched = new Set(offsets.map(({ offset }) => Math.floor(offset / GIB)));
    expect([...touched]).toEqual(Array.from({ length: 70 }, (_, i) => i));
  });

  test("can have the update first, or none", () => {
    const first = walk(microcodeRamdisk({ size: 65536, microcode: "amd", position: "first" }));
    expect(first.map(({ name }) => name)).toEqual([
      "kernel",
      "kernel/x86",
      "kernel/x86/microcode",
      "kernel/x86/microcode/AuthenticAMD.bin",
      "filler/00000",
      "TRAILER!!!",
    ]);
    const none = walk(microcodeRamdisk({ size: 65536, microcode: "none", position: "first" }));
    expect(none.map(({ name }) => name)).toEqual(["filler/00000", "TRAILER!!!"]);
  });

  test("holds an Intel update whose words sum up to 0", () => {
    const file = microcodeRamdisk({ size: 65536, microcode: "intel", position: "last" });
    const { data, size } = walk(file).find(({ name }) => name.endsWith("GenuineIntel.bin"))!;
    const { buffer } = wholeBytes(file);
    const words = new Uint32Array(buffer.slice(data, data + size));
    expect(words[0]).toBe(1);
    expect(words.reduce((sum, word) => (sum + word) >>> 0, 0)).toBe(0);
  });

  test("costs nothing for what is zero", () => {
    const file = microcodeRamdisk({ size: 1024 * GIB, microcode: "intel", position: "last" });
    expect(file.pieces.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(200_000);
  });
});

test.runIf(hasCpio())("cpio reads the archive", () => {
  const archive = buildCpio([
    { name: "a", mode: CPIO_FILE, size: 5, data: Uint8Array.of(104, 101, 108, 108, 111) },
    { name: "zeroes", mode: CPIO_FILE, size: 1000 },
  ]);
  const listing = execFileSync("cpio", ["-itv", "--quiet"], { input: wholeBytes(archive) }).toString();
  expect(listing).toMatch(/-rw-r--r--.* 5 .* a\n.* 1000 .* zeroes/);
});
