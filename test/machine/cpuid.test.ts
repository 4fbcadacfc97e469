import { describe, expect, it } from "vitest";
import { cpuid } from "../../src/machine/cpu/cpuid";
import { FEATURES, type FeatureName } from "../../src/machine/cpu/features";
import { CPU_MODELS, type CpuModel, parseCpu } from "../../src/machine/cpu/model";

const OFF = { osxsave: false, ospke: false };

function answer(cpu: string | CpuModel, leaf: number, subleaf = 0, state = OFF): number[] {
  const out = new Int32Array(4).fill(-1);
  cpuid(typeof cpu === "string" ? parseCpu(cpu) : cpu, leaf, subleaf, state, out);
  return [...out].map((value) => value >>> 0);
}

const hex = (values: number[]) => values.map((value) => value.toString(16).padStart(8, "0")).join(" ");

function text(values: number[]): string {
  const bytes = values.flatMap((value) => [value, value >>> 8, value >>> 16, value >>> 24]);
  return String.fromCharCode(...bytes.map((byte) => byte & 0xff)).replace(/\0+$/, "");
}

/**
 * Recorded from QEMU 7.2.22 (TCG, pc): a program that executes CPUID under -cpu qemu64 and -cpu kvm64. Leaves that are
 * not here answered zeros.
 */
const QEMU: Record<string, Record<string, string>> = {
  qemu64: {
    "00000000.0": "0000000d 68747541 444d4163 69746e65",
    "00000001.0": "00060fb1 00000800 80002001 078bfbfd",
    "00000002.0": "00000000 00000000 00000000 00000000",
    "00000004.0": "00000000 00000000 00000000 00000000",
    "00000005.0": "00000000 00000000 00000003 00000000",
    "00000006.0": "00000000 00000000 00000000 00000000",
    "00000007.0": "00000000 00000000 00000000 00000000",
    "00000007.1": "00000000 00000000 00000000 00000000",
    "0000000a.0": "00000000 00000000 00000000 00000000",
    "0000000b.0": "00000000 00000001 00000100 00000000",
    "0000000b.1": "00000000 00000001 00000201 00000000",
    "0000000d.0": "00000000 00000000 00000000 00000000",
    "0000000d.1": "00000000 00000000 00000000 00000000",
    "00000015.0": "00000000 00000000 00000000 00000000",
    "40000000.0": "40000001 54474354 43544743 47435447",
    "40000001.0": "00000000 00000000 00000000 00000000",
    "40000100.0": "00000000 00000000 00000000 00000000",
    "80000000.0": "8000000a 68747541 444d4163 69746e65",
    "80000001.0": "00060fb1 00000000 00000005 2193fbfd",
    "80000002.0": "554d4551 72695620 6c617574 55504320",
    "80000003.0": "72657620 6e6f6973 352e3220 0000002b",
    "80000004.0": "00000000 00000000 00000000 00000000",
    "80000005.0": "01ff01ff 01ff01ff 40020140 40020140",
    "80000006.0": "00000000 42004200 02008140 00808140",
    "80000007.0": "00000000 00000000 00000000 00000000",
    "80000008.0": "00003028 00000000 00000000 00000000",
    "80000009.0": "00000000 00000000 00000000 00000000",
    "8000000a.0": "00000001 00000010 00000000 00000000",
  },
  kvm64: {
    "00000000.0": "0000000d 756e6547 6c65746e 49656e69",
    "00000001.0": "00000f61 00000800 80002001 078bfbfd",
    "00000002.0": "00000001 00000000 0000004d 002c307d",
    "00000004.0": "00000121 01c0003f 0000003f 00000001",
    "00000004.1": "00000122 01c0003f 0000003f 00000001",
    "00000004.2": "00000143 03c0003f 00000fff 00000001",
    "00000004.3": "00000163 03c0003f 00003fff 00000006",
    "00000004.4": "00000000 00000000 00000000 00000000",
    "00000005.0": "00000000 00000000 00000003 00000000",
    "00000007.0": "00000000 00000000 00000000 00000000",
    "0000000a.0": "00000000 00000000 00000000 00000000",
    "0000000b.0": "00000000 00000001 00000100 00000000",
    "0000000b.1": "00000000 00000001 00000201 00000000",
    "40000000.0": "40000001 54474354 43544743 47435447",
    "80000002.0": "6d6d6f43 4b206e6f 70204d56 65636f72",
    "80000003.0": "726f7373 00000000 00000000 00000000",
    "80000005.0": "01ff01ff 01ff01ff 40020140 40020140",
    "80000006.0": "00000000 42004200 02008140 00808140",
    "80000008.0": "00003028 00000000 00000000 00000000",
    "8000000a.0": "00000000 00000000 00000000 00000000",
  },
};

describe("CPUID", () => {
  for (const [model, leaves] of Object.entries(QEMU)) {
    it(`${model} answers as QEMU's ${model} does, leaf for leaf`, () => {
      for (const [place, expected] of Object.entries(leaves)) {
        const [leaf, subleaf] = place.split(".").map((part) => Number(`0x${part}`));
        expect(`${place} ${hex(answer(model, leaf, subleaf))}`).toBe(`${place} ${expected}`);
      }
    });
  }

  it("kvm64 answers an Intel CPU's leaves 80000000H and 80000001H, whose reserved registers are 0", () => {
    expect(answer("kvm64", 0x80000000)).toEqual([0x80000008, 0, 0, 0]);
    expect(answer("kvm64", 0x80000001)).toEqual([0, 0, 0, 0x20100800]);
  });

  it("a leaf that tells of a feature goes with it", () => {
    expect(answer("qemu64,-svm", 0x8000000a)).toEqual([0, 0, 0, 0]);
    expect(answer("qemu64,-hypervisor", 0x40000000)).toEqual([0, 0, 0, 0]);
  });

  it("each feature shows as its bit, and in no other leaf but AMD's repetition of leaf 1", () => {
    const leaves = [0, 1, 2, 4, 5, 6, 7, 0xa, 0xb, 0xd, 0x80000000, 0x80000001, 0x80000007];
    const bare = bareModel("GenuineIntel");
    for (const { name, leaf, register, bit } of FEATURES) {
      const has = { ...bare, features: { ...bare.features, [name]: true } };
      for (const it of leaves) {
        const before = answer(bare, it);
        const after = answer(has, it);
        const changed = before.map((value, index) => (value ^ after[index]) >>> 0);
        if (it === leaf) expect([name, changed[register]]).toEqual([name, (1 << bit) >>> 0]);
        // XSAVE also fills its own leaf, CLFLUSH gives its line size.
        else if (name !== "xsave") expect([name, it, changed]).toEqual([name, it, [0, 0, 0, 0]]);
      }
    }
  });

  it("OSXSAVE and OSPKE mirror CR4", () => {
    for (const [state, leaf, bit] of [
      [{ osxsave: true, ospke: false }, 1, 27],
      [{ osxsave: false, ospke: true }, 7, 4],
    ] as const) {
      const off = answer("max", leaf);
      const on = answer("max", leaf, 0, state);
      expect((on[2] ^ off[2]) >>> 0).toBe((1 << bit) >>> 0);
    }
  });

  it("leaf 7 answers its features in subleaf 0 only", () => {
    expect(answer("max", 7)[1]).not.toBe(0);
    for (const subleaf of [1, 2, 0xffffffff]) expect(answer("max", 7, subleaf)).toEqual([0, 0, 0, 0]);
  });

  it("only leaves with subleaves read ECX", () => {
    for (const leaf of [0, 1, 2, 0x40000000, 0x80000000, 0x80000001, 0x80000002, 0x80000008]) {
      expect(answer("max", leaf, 0x444d4163)).toEqual(answer("max", leaf, 0));
    }
  });

  it("the maximum leaves are the last that answer", () => {
    for (const { name } of CPU_MODELS) {
      const basic = answer(name, 0)[0];
      const extended = answer(name, 0x80000000)[0];
      expect(extended).toBe(name === "qemu64" ? 0x8000000a : 0x80000008);
      expect(answer(name, extended)[0]).not.toBe(0);
      for (const leaf of [basic + 1, 0x3fffffff, 0x40000001, extended + 1, 0xffffffff])
        expect(answer(name, leaf)).toEqual([0, 0, 0, 0]);
    }
  });

  it("a leaf behind the maximum has the data of the highest basic leaf on Intel's, zeros on AMD's", () => {
    const last = answer("max,+xsave", 0xd);
    for (const leaf of [0xe, 0x3fffffff, 0x40000100, 0x4fffffff, 0x80000009, 0xffffffff]) {
      expect(answer("max,+xsave", leaf)).toEqual(last);
      expect(answer("amd,+xsave", leaf)).toEqual([0, 0, 0, 0]);
    }
    expect(answer("max,+xsave,-hypervisor", 0x40000000)).toEqual(last);
    // The subleaf is asked of that leaf.
    expect(answer("max,+xsave", 0xe, 1)).toEqual(answer("max,+xsave", 0xd, 1));
  });

  it("leaf 80000008H tells physical and linear address bits", () => {
    expect(answer("max,phys-bits=39", 0x80000008)[0]).toBe(39 | (57 << 8));
    expect(answer("amd,-la57", 0x80000008)[0]).toBe(48 | (48 << 8));
    expect(answer("qemu64,-lm,-syscall", 0x80000008)[0]).toBe(40 | (32 << 8));
  });

  it("family, model and stepping have their extended parts", () => {
    // Skylake-SP 50654 and Zen 3 A00F11, as the vendors print them.
    expect(answer("max", 1)[0]).toBe(0x00050654);
    expect(answer("amd", 1)[0]).toBe(0x00a00f11);
    expect(answer("amd", 0x80000001)[0]).toBe(0x00a00f11);
  });

  it("the brand string spans three leaves and keeps below 48 characters", () => {
    for (const { name } of CPU_MODELS) {
      const words = [2, 3, 4].flatMap((part) => answer(name, 0x80000000 + part));
      expect(text(words)).toBe(parseCpu(name).brand);
      expect(words[11] >>> 24).toBe(0);
    }
  });

  it("a hypervisor's leaf is there exactly with the hypervisor bit", () => {
    const [highest, ...signature] = answer("max", 0x40000000);
    expect(highest).toBe(0x40000000);
    expect(text(signature)).toBe("Pagewalk");
    expect(answer("max,-hypervisor", 0x40000000)).toEqual([0, 0, 0, 0]);
  });

  it("leaf DH describes an XSAVE area only for a CPU with xsave", () => {
    expect(answer("max", 0xd)).toEqual([0, 0, 0, 0]);
    expect(answer("max,+xsave", 0xd)).toEqual([3, 576, 576, 0]);
    expect(answer("max,+xsave", 0xd, 1)).toEqual([0, 0, 0, 0]);
  });
});

/** A CPU without any feature. */
function bareModel(vendor: CpuModel["vendor"]): CpuModel {
  const features = Object.fromEntries(FEATURES.map(({ name }) => [name, false])) as Record<
    FeatureName,
    boolean
  >;
  return { ...parseCpu("max"), vendor, features };
}
