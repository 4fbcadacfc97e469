import {
  Code,
  CodeExt,
  CpuidFeature,
  Decoder,
  DecoderError,
  DecoderOptions,
  Instruction,
  Mnemonic,
} from "iced-x86";
import { describe, expect, it } from "vitest";
import { casesOf, familiesOf, MODES, type Mode } from "./index";

/** The features whose instructions all work on general registers. */
const INTEGER_FEATURES = new Set([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL8086_ONLY,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.CMOV,
  CpuidFeature.CX8,
  CpuidFeature.CMPXCHG16B,
  CpuidFeature.ADX,
  CpuidFeature.BMI1,
  CpuidFeature.BMI2,
  CpuidFeature.LZCNT,
  CpuidFeature.POPCNT,
  CpuidFeature.MOVBE,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.PAUSE,
]);

/** Integer instructions that cannot be recorded like this, by the reason. */
const LEFT_OUT: readonly (readonly [reason: string, mnemonics: readonly Mnemonic[]])[] = [
  [
    "they depend on the kernel's descriptor tables",
    [
      Mnemonic.Les,
      Mnemonic.Lds,
      Mnemonic.Lss,
      Mnemonic.Lfs,
      Mnemonic.Lgs,
      Mnemonic.Retf,
      Mnemonic.Lar,
      Mnemonic.Lsl,
    ],
  ],
  ["the same", [Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq]],
  ["they go through the kernel's interrupt gates", [Mnemonic.Int, Mnemonic.Int1, Mnemonic.Int3]],
  [
    "Linux answers in the processor's place where UMIP denies them",
    [Mnemonic.Sldt, Mnemonic.Str, Mnemonic.Sgdt, Mnemonic.Sidt, Mnemonic.Smsw],
  ],
  ["MPX has taken their opcodes", [Mnemonic.Reservednop]],
];

/** Forms, of instructions that are recorded otherwise. */
const FORMS_LEFT_OUT: readonly (readonly [reason: string, codes: readonly Code[]])[] = [
  ["loads of segment registers depend on descriptor tables", [Code.Mov_Sreg_rm16, Code.Mov_Sreg_r32m16]],
  ["the same", [Code.Mov_Sreg_r64m16, Code.Popw_FS, Code.Popd_FS, Code.Popq_FS, Code.Popw_GS, Code.Popd_GS]],
  [
    "the same",
    [Code.Popq_GS, Code.Popw_ES, Code.Popd_ES, Code.Popw_SS, Code.Popd_SS, Code.Popw_DS, Code.Popd_DS],
  ],
  ["only on the 8086 was it one", [Code.Popw_CS]],
  [
    "so do far branches",
    [Code.Call_ptr1616, Code.Call_ptr1632, Code.Call_m1616, Code.Call_m1632, Code.Call_m1664],
  ],
  ["the same", [Code.Jmp_ptr1616, Code.Jmp_ptr1632, Code.Jmp_m1616, Code.Jmp_m1632, Code.Jmp_m1664]],
  ["its result is undefined", [Code.Bswap_r16]],
];

function codesOf(mode: Mode): Set<Code> {
  const codes = new Set<Code>();
  const instruction = new Instruction();
  for (const family of familiesOf(mode)) {
    for (const { code } of casesOf(family, mode).cases) {
      const decoder = new Decoder(mode, code, DecoderOptions.None);
      decoder.decodeOut(instruction);
      if (decoder.lastError === DecoderError.None) codes.add(instruction.code);
      decoder.free();
    }
  }
  instruction.free();
  return codes;
}

/** Every code of the decoder that belongs to the integer set of a mode. */
function integerCodes(mode: Mode): Code[] {
  const all = Object.values(Code).filter((code): code is Code => typeof code === "number");
  return all.filter((code) => {
    const opCode = CodeExt.opCode(code);
    const instruction = new Instruction();
    instruction.code = code;
    const features = [...instruction.cpuidFeatures()];
    const integer = features.length > 0 && features.every((feature) => INTEGER_FEATURES.has(feature));
    const decodes = mode === 64 ? opCode.intelDecoder64 : opCode.intelDecoder32;
    const available =
      opCode.isInstruction &&
      opCode.isAvailableInMode(mode) &&
      decodes &&
      opCode.decoderOption === DecoderOptions.None;
    opCode.free();
    instruction.free();
    return integer && available;
  });
}

describe("the recorded cases", () => {
  for (const mode of MODES) {
    it(`hold every integer instruction form of ${mode}-bit code but those left out for a reason`, () => {
      const recorded = codesOf(mode);
      const out = new Set(LEFT_OUT.flatMap(([, mnemonics]) => [...mnemonics]));
      const formsOut = new Set(FORMS_LEFT_OUT.flatMap(([, codes]) => [...codes]));
      const missing = integerCodes(mode).filter((code) => {
        const opCode = CodeExt.opCode(code);
        const { mnemonic } = opCode;
        opCode.free();
        return !recorded.has(code) && !out.has(mnemonic) && !formsOut.has(code);
      });
      expect(missing.map((code) => Code[code])).toEqual([]);
    });
  }
});
