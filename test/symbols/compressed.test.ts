import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { zlibSync } from "fflate";
import { afterAll, describe, expect, test } from "vitest";
import { decompressSection } from "../../src/symbols/compressed";
import { ImageError, parseElf } from "../../src/symbols/elf";
import { Symbols } from "../../src/symbols/symbols";
import { readImage } from "./fixtures";

const folder = mkdtempSync(join(tmpdir(), "pagewalk-compressed-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Elf64_Chdr and what follows. */
function section(method: number, size: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(24 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, method, true);
  view.setBigUint64(8, BigInt(size), true);
  view.setBigUint64(16, 1n, true);
  bytes.set(data, 24);
  return bytes;
}

const TEXT = new TextEncoder().encode("page tables ".repeat(20_000));
const PACKED = zlibSync(TEXT);

describe("a compressed section", () => {
  test.each(["zlib", "zstd"])("of objcopy, by %s, gives the same names, lines and types", (method) => {
    const [from, to] = ["plain", method].map((name) => join(folder, name));
    writeFileSync(from, readImage("dwarf5"));
    execFileSync("objcopy", [`--compress-debug-sections=${method}`, from, to]);
    const [plain, packed] = [parseElf(readImage("dwarf5")), parseElf(readFileSync(to))];
    const compressed = packed.sections.filter(({ flags }) => (flags & 0x800n) !== 0n);
    expect(compressed.length).toBeGreaterThan(0);
    for (const { name } of compressed) {
      expect(
        Buffer.compare(packed.sectionData(name) ?? Buffer.of(), plain.sectionData(name) ?? Buffer.of(0)),
      ).toBe(0);
    }
    const symbols = Symbols.fromElf(packed, { loadDelta: 0 });
    expect(symbols.lineOf(symbols.addressOf("_start") ?? 0n)).toMatchObject({
      file: "/build/src/start.c",
      line: 8,
    });
    expect(symbols.problems).toEqual([]);
  });

  test("is refused where it holds more or less than it declares", () => {
    expect(decompressSection(section(1, TEXT.length, PACKED), true, ".x")).toEqual(TEXT);
    expect(() => decompressSection(section(1, TEXT.length - 1, PACKED), true, ".x")).toThrow(
      /section .x cannot be decompressed: .* holds more than the 239999 bytes/,
    );
    expect(() => decompressSection(section(1, TEXT.length + 1, PACKED), true, ".x")).toThrow(
      /section .x declares 240001 bytes, but only 240000 come out of it/,
    );
  });

  test("is refused where its method is unknown or its size cannot be", () => {
    expect(() => decompressSection(section(3, 1, PACKED), true, ".x")).toThrow(
      "section .x is compressed by method 3, neither zlib (1) nor zstd (2)",
    );
    expect(() => decompressSection(section(2, 2 ** 30, new Uint8Array(100)), true, ".x")).toThrow(
      /section .x claims 1073741824 bytes of contents in 100 compressed ones/,
    );
  });

  test("of garbage is an ImageError or bytes as declared", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2),
        fc.integer({ min: 0, max: 5000 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.boolean(),
        (method, size, data, withMagic) => {
          const start = method === 1 ? [0x78, 0x9c] : [0x28, 0xb5, 0x2f, 0xfd];
          const bytes = withMagic ? Uint8Array.of(...start, ...data) : data;
          try {
            expect(decompressSection(section(method, size, bytes), true, ".x")).toHaveLength(size);
          } catch (error) {
            expect(error).toBeInstanceOf(ImageError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("that cannot be read leaves the names of the file, and is told", () => {
    const bytes = readImage("dwarf5").slice();
    const view = new DataView(bytes.buffer);
    const headers = Number(view.getBigUint64(0x28, true));
    const index = parseElf(bytes).sections.findIndex(({ name }) => name === ".debug_info");
    view.setBigUint64(headers + index * 64 + 8, 0x800n, true);
    const symbols = Symbols.fromElf(parseElf(bytes), { loadDelta: 0 });
    expect(symbols.addressOf("_start")).toBeDefined();
    expect(symbols.lineOf(symbols.addressOf("_start") ?? 0n)).toBeUndefined();
    expect(symbols.problems).toHaveLength(1);
    expect(symbols.problems[0].message).toMatch(/^section .debug_info /);
  });
});
