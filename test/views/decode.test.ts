import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeNumber, numberIn } from "../../src/views/hover/decode";

describe("numbers without a session", () => {
  test("are read as C, assembly and logs write them, exactly", () => {
    expect(numberIn("0x1043067")).toBe(0x1043067n);
    expect(numberIn(" $0x63 ")).toBe(0x63n);
    expect(numberIn("0xffffffff81000000UL")).toBe(0xffffffff81000000n);
    expect(numberIn("ffffffff80001234")).toBe(0xffffffff80001234n);
    for (const text of ["", "12", "0x", "0x12345678901234567", "table"])
      expect(numberIn(text)).toBeUndefined();
  });

  test("are decoded once for levels that say the same", () => {
    const markdown = decodeNumber(0x1043067n) ?? "";
    expect(markdown).toContain("As a linear address: PML4E 0, PDPTE 0, PDE 8, PTE 67, offset `0x67`");
    expect(markdown).toContain("**PTE** 4K page 0x1043000 RW US A D");
    expect(markdown).toContain("**PDE, PDPTE or PML4E** table 0x1043000 RW US A");
  });

  test("that can be nothing say nothing", () => {
    expect(decodeNumber(0x10n)).toBeUndefined();
    expect(decodeNumber(0x1234567890abcdeen)).toBeUndefined();
  });

  test("never end in an error", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
        decodeNumber(value);
      }),
      { seed: 7, numRuns: 2000 },
    );
  });
});
