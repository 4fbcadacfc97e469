import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type LaunchRequest, launch } from "../../src/target/launch";
import { writeElf, writeNote } from "../support/elfWriter";

const folder = mkdtempSync(join(tmpdir(), "pagewalk-symbols-"));
afterAll(() => rmSync(folder, { recursive: true }));
const WHOLE = new URL("../../guests/early-fault/early-fault-merged.elf", import.meta.url).pathname;

/** The image with a build ID, in parts as distributions ship them. */
const { whole, stripped, debug } = (() => {
  const at = (name: string) => join(folder, name);
  execFileSync("objcopy", ["--strip-all", WHOLE, at("stripped")]);
  execFileSync("objcopy", ["--only-keep-debug", WHOLE, at("debug")]);
  return {
    whole: readFileSync(WHOLE),
    stripped: readFileSync(at("stripped")),
    debug: readFileSync(at("debug")),
  };
})();

function targetOf(files: Record<string, Uint8Array>, request: Partial<LaunchRequest>) {
  return launch(
    { program: "image", settings: new Map(), entry: "auto", tlb: "max", ...request },
    {
      readFile: (path) =>
        path in files
          ? Promise.resolve(files[path])
          : Promise.reject(Object.assign(new Error("none"), { code: "ENOENT" })),
      readGuest: () => Promise.reject(new Error("no guests here")),
    },
  );
}

/** A kernel of one instruction whose build ID is the given bytes; none for no bytes. */
function kernel(id: readonly number[], text = 16): Uint8Array {
  const note = writeNote("GNU", 3, Uint8Array.from(id));
  return writeElf({
    entry: 0x100000n,
    segments: [
      { virtualAddress: 0x100000n, bytes: new Uint8Array(text).fill(0xf4) },
      ...(id.length === 0 ? [] : [{ type: 4, virtualAddress: 0n, bytes: note, align: 4 }]),
      // Xen, PHYS32_ENTRY: enters at 1 MiB with paging off.
      { type: 4, virtualAddress: 0n, bytes: writeNote("Xen", 18, Uint8Array.of(0, 0, 0x10, 0)), align: 4 },
    ],
    sections: [{ name: ".text", bytes: new Uint8Array(text) }],
    symbols: [{ name: "start", value: 0x100000n }],
  });
}

describe("an image with its symbols in another file", () => {
  test("has the names, lines, types and sections that it had before it was stripped", async () => {
    const plain = await targetOf({ image: whole }, {});
    const parts = await targetOf({ image: stripped, file: debug }, { symbols: "file" });
    const bare = await targetOf({ image: stripped }, {});
    const address = plain.symbols.addressOf("early_make_pgtable") ?? 0n;
    expect(address).not.toBe(0n);
    expect(bare.symbols.addressOf("early_make_pgtable")).toBeUndefined();
    expect(parts.symbols.addressOf("early_make_pgtable")).toBe(address);
    expect(parts.symbols.lineOf(address)).toEqual(plain.symbols.lineOf(address));
    expect(parts.symbols.debug?.functionsAt(address)[0].name).toBe("early_make_pgtable");
    expect(parts.symbols.debug?.global("early_dynamic_pgts")?.type).toEqual(
      plain.symbols.debug?.global("early_dynamic_pgts")?.type,
    );
    expect(parts.symbols.sections).toEqual(plain.symbols.sections);
    expect(parts.symbols.physicalOf(address)).toBe(plain.symbols.physicalOf(address));
    expect(parts.symbols.problems).toEqual([]);
    expect(parts.details).toMatch(
      /, symbols of file(, which cannot be compared with the image by build ID)?$/,
    );
  });

  test("of the same build ID is believed, of another refused with both", async () => {
    const [one, other] = [kernel([0xab, 0xcd]), kernel([0x12, 0x34])];
    const target = await targetOf({ image: one, file: one }, { symbols: "file" });
    expect(target.details).toMatch(/, symbols of file$/);
    await expect(targetOf({ image: one, file: other }, { symbols: "file" })).rejects.toThrow(
      "file does not belong to the image: its build ID is 1234, that of the image abcd",
    );
  });

  test("without a build ID is compared by the place of its code", async () => {
    const [one, other] = [kernel([1]), kernel([])];
    const target = await targetOf({ image: one, file: other }, { symbols: "file" });
    expect(target.details).toMatch(/symbols of file, which cannot be compared with the image by build ID$/);
    await expect(targetOf({ image: one, file: kernel([], 32) }, { symbols: "file" })).rejects.toThrow(
      /^file does not belong to the image: its .text is linked to 0x0 with 0x20 bytes, that of the image to 0x0 with 0x10/,
    );
  });

  test("that is no ELF file, for another machine or not there is refused", async () => {
    const image = kernel([1]);
    const symbols = "file";
    await expect(targetOf({ image, file: Uint8Array.of(1, 2, 3) }, { symbols })).rejects.toThrow(
      /^file cannot be used for symbols: the file is not an ELF image/,
    );
    await expect(targetOf({ image }, { symbols })).rejects.toThrow(
      "file cannot be read: there is no such file",
    );
    const narrow = writeElf({ class: 32, machine: 3 });
    await expect(targetOf({ image, file: narrow }, { symbols })).rejects.toThrow(
      "file is for 32 bits, but the image for 64",
    );
  });
});
