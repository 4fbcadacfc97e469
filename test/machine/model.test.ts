import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FEATURE_NEEDS, FEATURES, type FeatureName } from "../../src/machine/cpu/features";
import { CPU_MODELS, CpuModelError, parseCpu } from "../../src/machine/cpu/model";

function messageOf(text: string): string {
  try {
    parseCpu(text);
  } catch (error) {
    if (error instanceof CpuModelError) return error.message;
    throw error;
  }
  throw new Error(`"${text}" was taken`);
}

const present = (text: string): FeatureName[] => {
  const { features } = parseCpu(text);
  return FEATURES.map(({ name }) => name).filter((name) => features[name]);
};

describe("CPU models", () => {
  it("every model that is listed can be parsed, and says what it is", () => {
    for (const { name, meaning } of CPU_MODELS) {
      expect(parseCpu(name).name).toBe(name);
      expect(meaning).not.toBe("");
    }
  });

  it("max and intel have all that is implemented; amd lacks supervisor protection keys, no-nx lacks NX", () => {
    const implemented = FEATURES.filter((feature) => feature.implemented).map(({ name }) => name);
    expect(present("max")).toEqual(expect.arrayContaining(implemented));
    expect(present("intel")).toEqual(present("max"));
    expect(present("max").filter((name) => !present("amd").includes(name))).toEqual(["pks"]);
    expect(present("max").filter((name) => !present("no-nx").includes(name))).toEqual(["nx"]);
  });

  it("each feature has its own name and its own bit", () => {
    const places = FEATURES.map(
      ({ leaf, subleaf, register, bit }) => `${leaf}.${subleaf}.${register}.${bit}`,
    );
    expect(new Set(places).size).toBe(FEATURES.length);
    expect(new Set(FEATURES.map(({ name }) => name)).size).toBe(FEATURES.length);
  });

  it("changes are applied in order: the last one of a feature holds", () => {
    expect(parseCpu("max,-nx").features.nx).toBe(false);
    expect(parseCpu("qemu64,+smep").features.smep).toBe(true);
    expect(parseCpu("max,nx=off").features.nx).toBe(false);
    expect(parseCpu("max,-nx,+nx,nx=off,nx=on").features.nx).toBe(true);
    expect(parseCpu(" max , -nx , phys-bits=40 ")).toMatchObject({ maxPhysicalBits: 40 });
  });

  it("a change touches no other feature", () => {
    const leaves = FEATURES.filter(({ name }) => FEATURE_NEEDS.every(([, needed]) => needed !== name));
    const before = present("max");
    for (const { name } of leaves) {
      expect(present(`max,-${name}`)).toEqual(before.filter((it) => it !== name));
    }
  });

  it("physical-address bits go from 32 to 52 under both of their names", () => {
    expect(parseCpu("max,phys-bits=32").maxPhysicalBits).toBe(32);
    expect(parseCpu("max,maxphyaddr=52").maxPhysicalBits).toBe(52);
    for (const bits of ["31", "53", "", "0x28", "4e1", "-40", "40=40", "9".repeat(400)]) {
      expect(messageOf(`max,phys-bits=${bits}`)).toContain("32 to 52 physical-address bits");
    }
  });

  it("linear addresses have 57 bits with la57, 48 in other 64-bit CPUs, 32 without 64-bit mode", () => {
    expect(parseCpu("max").linearBits).toBe(57);
    expect(parseCpu("max,la57=off").linearBits).toBe(48);
    expect(parseCpu("qemu64,-lm,-syscall").linearBits).toBe(32);
  });

  it("another vendor brings its own family with it, but QEMU's models keep theirs as they do in QEMU", () => {
    const signature = (text: string) => {
      const { vendor, family, model, stepping } = parseCpu(text);
      return { vendor, family, model, stepping };
    };
    expect(signature("max,vendor=AuthenticAMD")).toEqual(signature("amd"));
    expect(signature("amd,vendor=GenuineIntel")).toEqual(signature("max"));
    expect(signature("qemu64,vendor=GenuineIntel")).toEqual({
      ...signature("qemu64"),
      vendor: "GenuineIntel",
    });
  });
});

describe("What cannot be a CPU", () => {
  it("an unknown model is answered with the models there are", () => {
    expect(messageOf("pentium")).toBe(
      'there is no CPU model "pentium": the models are max, intel, amd, no-nx, qemu64, kvm64',
    );
    for (const name of ["", "constructor", "__proto__", "toString", "MAX"]) {
      expect(messageOf(name)).toContain(`there is no CPU model "${name}"`);
    }
  });

  it("an unknown feature is answered with the nearest ones, or with all where none is near", () => {
    expect(messageOf("max,-xn")).toMatch(/^there is no CPU feature "xn": /);
    expect(messageOf("max,-smepp")).toBe('there is no CPU feature "smepp": did you mean smep?');
    expect(messageOf("max,+sse4.1")).toBe('there is no CPU feature "sse4.1": did you mean sse41?');
    expect(messageOf("max,-lahf-lm")).toBe('there is no CPU feature "lahf-lm": did you mean lahf_lm?');
    expect(messageOf("max,-pdpe1g")).toBe('there is no CPU feature "pdpe1g": did you mean pdpe1gb?');
    for (const name of ["", "frobnicate", "toString", "x".repeat(10_000)]) {
      expect(messageOf(`max,-${name}`)).toContain("the features are fpu de pse");
    }
  });

  it("an unknown vendor and an unknown change are answered with what can be written", () => {
    expect(messageOf("max,vendor=Cyrix")).toBe(
      '"Cyrix" is no CPU vendor: write GenuineIntel or AuthenticAMD',
    );
    for (const change of ["", "nx", "nx=yes", "nx=on=off", "=on", "cores=2"]) {
      expect(messageOf(`max,${change}`)).toMatch(/ is no change of a CPU: write \+NAME/);
    }
  });

  it("a feature without what it needs is refused with the change that mends it", () => {
    expect(messageOf("max,-pse")).toBe(
      'the CPU "max,-pse" has pse36, which cannot be without pse: add -pse36',
    );
    expect(messageOf("max,-lm")).toBe(
      'the CPU "max,-lm" has la57, pdpe1gb, pcid, pku, pks, syscall, which cannot be without lm: ' +
        "add -la57,-pdpe1gb,-pcid,-pku,-pks,-syscall",
    );
  });

  it("the mend that is named does mend it, for every feature that others need", () => {
    for (const needed of new Set(FEATURE_NEEDS.map(([, name]) => name))) {
      for (const model of CPU_MODELS) {
        const broken = `${model.name},-${needed}`;
        const mend = messageOf(broken).match(/: add (\S+)$/)?.[1];
        expect(present(`${broken},${mend}`)).not.toContain(needed);
      }
    }
  });

  it("any text gives a model or one sentence, and nothing else", () => {
    const word = fc.oneof(
      fc.constantFrom("max", "-lm", "+nx", "phys-bits=", "vendor=", "=", "__proto__", "la57=off"),
      fc.string({ maxLength: 12 }),
    );
    const text = fc.array(word, { maxLength: 5 }).map((words) => words.join(","));
    fc.assert(
      fc.property(text, (it) => {
        try {
          const { maxPhysicalBits, linearBits } = parseCpu(it);
          return maxPhysicalBits >= 32 && maxPhysicalBits <= 52 && linearBits >= 32;
        } catch (error) {
          return error instanceof CpuModelError && !error.message.includes("undefined");
        }
      }),
      { seed: 64, numRuns: 2000 },
    );
  });
});
