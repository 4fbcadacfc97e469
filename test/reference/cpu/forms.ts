/**
 * The instruction forms that are recorded, in the notation of the opcode map (SDM vol. 2, appendix A).
 *
 * A line: mnemonic | encoding | operands | attributes.
 * Encoding: mandatory prefix, opcode map, opcode ("+r": register in its low bits), "/r" or "/digit" for ModRM; for VEX
 * "VEX.prefix.map". Operands: E, M, R (ModRM.rm: either, memory only, register only), G (ModRM.reg), B (VEX.vvvv),
 * Z (opcode), I (immediate), J (relative target), O (moffs); sizes b w d q dq, v (16, 32, 64), y (32, 64), z (16, 32).
 * Attributes: lock (LOCK is legal), d64 (64-bit operands by default in 64-bit mode), o64 and o32 (only in that mode),
 * plain (no superfluous prefixes: they would make another instruction), few and some (fewer cases), wide (no size but
 * the default one, though operands are "v"), w64 (always with REX.W).
 */
export interface Form {
  family: string;
  mnemonic: string;
  /** The line it was written as; names the form in the seed of its cases. */
  text: string;
  mandatory: number | undefined;
  vex: boolean;
  /** Opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A. */
  map: 0 | 1 | 2 | 3;
  opcode: number;
  registerInOpcode: boolean;
  modrm: boolean;
  /** The fixed ModRM.reg. */
  digit: number | undefined;
  /** The fixed ModRM byte. */
  fixed: number | undefined;
  operands: readonly string[];
  attributes: ReadonlySet<string>;
}

const CONDITIONS = ["O", "NO", "B", "AE", "E", "NE", "BE", "A", "S", "NS", "P", "NP", "L", "GE", "LE", "G"];
const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");
const lines = (names: readonly string[], make: (name: string, index: number) => string): string =>
  names.map(make).join("\n");
const words = (text: string): string[] => text.trim().split(/\s+/);

const ALU = lines(words("ADD OR ADC SBB AND SUB XOR CMP"), (name, i) => {
  const lock = name === "CMP" ? "" : "lock";
  return `
    ${name} | ${hex(8 * i)} /r | Eb,Gb | ${lock}
    ${name} | ${hex(8 * i + 1)} /r | Ev,Gv | ${lock}
    ${name} | ${hex(8 * i + 2)} /r | Gb,Eb |
    ${name} | ${hex(8 * i + 3)} /r | Gv,Ev |
    ${name} | ${hex(8 * i + 4)} | Ib |
    ${name} | ${hex(8 * i + 5)} | Iz |
    ${name} | 80 /${i} | Eb,Ib | ${lock}
    ${name} | 81 /${i} | Ev,Iz | ${lock}
    ${name} | 82 /${i} | Eb,Ib | o32 ${lock} few
    ${name} | 83 /${i} | Ev,Ib | ${lock}`;
});

const SHIFTS = lines(
  words("ROL ROR RCL RCR SHL SHR SAL SAR"),
  (name, i) => `
    ${name} | C0 /${i} | Eb,Ib |
    ${name} | C1 /${i} | Ev,Ib |
    ${name} | D0 /${i} | Eb | some
    ${name} | D1 /${i} | Ev | some
    ${name} | D2 /${i} | Eb |
    ${name} | D3 /${i} | Ev |`,
);

const FAMILIES: Record<string, string> = {
  alu: ALU,
  test: `
    TEST | 84 /r | Eb,Gb |
    TEST | 85 /r | Ev,Gv |
    TEST | A8 | Ib |
    TEST | A9 | Iz |
    TEST | F6 /0 | Eb,Ib |
    TEST | F6 /1 | Eb,Ib | few
    TEST | F7 /0 | Ev,Iz |
    TEST | F7 /1 | Ev,Iz | few`,
  unary: `
    NOT | F6 /2 | Eb | lock
    NOT | F7 /2 | Ev | lock
    NEG | F6 /3 | Eb | lock
    NEG | F7 /3 | Ev | lock
    INC | FE /0 | Eb | lock
    INC | FF /0 | Ev | lock
    INC | 40+r | Zv | o32
    DEC | FE /1 | Eb | lock
    DEC | FF /1 | Ev | lock
    DEC | 48+r | Zv | o32`,
  move: `
    MOV | 88 /r | Eb,Gb |
    MOV | 89 /r | Ev,Gv |
    MOV | 8A /r | Gb,Eb |
    MOV | 8B /r | Gv,Ev |
    MOV | 8C /r | Ew,v | some
    MOV | A0 | Ob |
    MOV | A1 | Ov |
    MOV | A2 | Ob |
    MOV | A3 | Ov |
    MOV | B0+r | Zb,Ib |
    MOV | B8+r | Zv,Iv |
    MOV | C6 /0 | Eb,Ib |
    MOV | C7 /0 | Ev,Iz |
    MOVNTI | 0F C3 /r | My,Gy | plain
    MOVBE | 0F38 F0 /r | Gv,Mv | plain
    MOVBE | 0F38 F1 /r | Mv,Gv | plain
    XLATB | D7 | |
    CMPXCHG | 0F B0 /r | Eb,Gb | lock
    CMPXCHG | 0F B1 /r | Ev,Gv | lock
    CMPXCHG8B | 0F C7 /1 | Mq | lock plain
    CMPXCHG16B | 0F C7 /1 | Mdq | o64 w64 lock plain
    XCHG | 86 /r | Eb,Gb | lock
    XCHG | 87 /r | Ev,Gv | lock
    XCHG | 90+r | Zv | plain
    XADD | 0F C0 /r | Eb,Gb | lock
    XADD | 0F C1 /r | Ev,Gv | lock
    BSWAP | 0F C8+r | Zy |`,
  extend: `
    MOVZX | 0F B6 /r | Gv,Eb |
    MOVZX | 0F B7 /r | Gv,Ew |
    MOVSX | 0F BE /r | Gv,Eb |
    MOVSX | 0F BF /r | Gv,Ew |
    MOVSXD | 63 /r | Gv,Ez | o64
    CBW | 98 | v |
    CWD | 99 | v |`,
  lea: "LEA | 8D /r | Gv,Mv | many",
  multiply: `
    MUL | F6 /4 | Eb |
    MUL | F7 /4 | Ev |
    IMUL | F6 /5 | Eb |
    IMUL | F7 /5 | Ev |
    IMUL | 0F AF /r | Gv,Ev |
    IMUL | 69 /r | Gv,Ev,Iz |
    IMUL | 6B /r | Gv,Ev,Ib |`,
  divide: `
    DIV | F6 /6 | Eb | many
    DIV | F7 /6 | Ev | many
    IDIV | F6 /7 | Eb | many
    IDIV | F7 /7 | Ev | many`,
  shift: SHIFTS,
  "double-shift": `
    SHLD | 0F A4 /r | Ev,Gv,Ib | many
    SHLD | 0F A5 /r | Ev,Gv | many
    SHRD | 0F AC /r | Ev,Gv,Ib | many
    SHRD | 0F AD /r | Ev,Gv | many`,
  bits: `
    BT | 0F A3 /r | Ev,Gv |
    BTS | 0F AB /r | Ev,Gv | lock
    BTR | 0F B3 /r | Ev,Gv | lock
    BTC | 0F BB /r | Ev,Gv | lock
    BT | 0F BA /4 | Ev,Ib |
    BTS | 0F BA /5 | Ev,Ib | lock
    BTR | 0F BA /6 | Ev,Ib | lock
    BTC | 0F BA /7 | Ev,Ib | lock
    BSF | 0F BC /r | Gv,Ev | plain
    BSR | 0F BD /r | Gv,Ev | plain
    TZCNT | F3 0F BC /r | Gv,Ev | plain
    LZCNT | F3 0F BD /r | Gv,Ev | plain
    POPCNT | F3 0F B8 /r | Gv,Ev | plain
    CRC32 | F2 0F38 F0 /r | Gy,Eb | plain
    CRC32 | F2 0F38 F1 /r | Gv,Ev | plain`,
  bmi: `
    ANDN | VEX.NP.0F38 F2 /r | Gy,By,Ey |
    BEXTR | VEX.NP.0F38 F7 /r | Gy,Ey,By | many
    BLSR | VEX.NP.0F38 F3 /1 | By,Ey |
    BLSMSK | VEX.NP.0F38 F3 /2 | By,Ey |
    BLSI | VEX.NP.0F38 F3 /3 | By,Ey |
    BZHI | VEX.NP.0F38 F5 /r | Gy,Ey,By | many
    PEXT | VEX.F3.0F38 F5 /r | Gy,By,Ey |
    PDEP | VEX.F2.0F38 F5 /r | Gy,By,Ey |
    MULX | VEX.F2.0F38 F6 /r | Gy,By,Ey |
    SHLX | VEX.66.0F38 F7 /r | Gy,Ey,By |
    SARX | VEX.F3.0F38 F7 /r | Gy,Ey,By |
    SHRX | VEX.F2.0F38 F7 /r | Gy,Ey,By |
    RORX | VEX.F2.0F3A F0 /r | Gy,Ey,Ib |
    ADCX | 66 0F38 F6 /r | Gy,Ey | plain
    ADOX | F3 0F38 F6 /r | Gy,Ey | plain`,
  condition: [
    lines(CONDITIONS, (name, i) => `SET${name} | 0F ${hex(0x90 + i)} /r | Eb | few`),
    lines(CONDITIONS, (name, i) => `CMOV${name} | 0F ${hex(0x40 + i)} /r | Gv,Ev | few`),
  ].join("\n"),
  jump: [
    lines(CONDITIONS, (name, i) => `J${name} | ${hex(0x70 + i)} | Jb | few`),
    lines(CONDITIONS, (name, i) => `J${name} | 0F ${hex(0x80 + i)} | Jz | few`),
    `LOOPNE | E0 | Jb |
    LOOPE | E1 | Jb |
    LOOP | E2 | Jb |
    JRCXZ | E3 | Jb |
    JMP | E9 | Jz |
    JMP | EB | Jb |
    JMP | FF /4 | Ev | d64 wide
    CALL | E8 | Jz |
    CALL | FF /2 | Ev | d64 wide
    RET | C2 | Iw | d64 wide
    RET | C3 | v | d64 wide`,
  ].join("\n"),
  stack: `
    PUSH | 50+r | Zv | d64
    PUSH | 68 | Iz | d64
    PUSH | 6A | Ib,v | d64
    PUSH | FF /6 | Ev | d64
    PUSH | 06 | v | o32
    PUSH | 0E | v | o32
    PUSH | 16 | v | o32
    PUSH | 1E | v | o32
    PUSH | 0F A0 | v | d64
    PUSH | 0F A8 | v | d64
    POP | 58+r | Zv | d64
    POP | 8F /0 | Ev | d64
    PUSHF | 9C | v | d64
    POPF | 9D | v | d64 many
    PUSHA | 60 | v | o32
    POPA | 61 | v | o32
    ENTER | C8 | Iw,Ib,v | d64 many
    LEAVE | C9 | v | d64`,
  flags: `
    CMC | F5 | |
    CLC | F8 | |
    STC | F9 | |
    CLD | FC | |
    STD | FD | |
    SAHF | 9E | |
    LAHF | 9F | |
    SALC | D6 | | o32`,
  decimal: `
    DAA | 27 | | o32 many
    DAS | 2F | | o32 many
    AAA | 37 | | o32 many
    AAS | 3F | | o32 many
    AAM | D4 | Ib | o32 many
    AAD | D5 | Ib | o32 many`,
  string: `
    MOVS | A4 | b | many plain
    MOVS | A5 | v | many plain
    CMPS | A6 | b | many plain
    CMPS | A7 | v | many plain
    STOS | AA | b | many plain
    STOS | AB | v | many plain
    LODS | AC | b | many plain
    LODS | AD | v | many plain
    SCAS | AE | b | many plain
    SCAS | AF | v | many plain`,
  protection: `
    ARPL | 63 /r | Ew,Gw,v | o32
    BOUND | 62 /r | Gv,Mv | o32 plain
    INTO | CE | | o32`,
  nop: `
    NOP | 0F 1F /0 | Ev |
    NOP | 90 | v | plain
    NOP | 0F 0D /r | Rv | few plain
    NOP | 0F 18 /r | Rv | few plain
    NOP | 0F 19 /r | Ev | few plain
    NOP | 0F 1C /r | Ev | few plain
    NOP | 0F 1D /r | Ev | few plain
    NOP | 0F 1E /r | Ev | few plain
    NOP | 0F 1F /r | Ev | few plain
    WAIT | 9B | | few plain
    PAUSE | F3 90 | | plain
    PREFETCHNTA | 0F 18 /0 | Mb |
    PREFETCHT0 | 0F 18 /1 | Mb |
    PREFETCHT1 | 0F 18 /2 | Mb |
    PREFETCHT2 | 0F 18 /3 | Mb |
    PREFETCHW | 0F 0D /1 | Mb |
    CLFLUSH | 0F AE /7 | Mb | plain
    LFENCE | 0F AE E8 | | plain few
    MFENCE | 0F AE F0 | | plain few
    SFENCE | 0F AE F8 | | plain few`,
  privileged: `
    HLT | F4 | | few
    CLI | FA | | few
    STI | FB | | few
    IN | E4 | Ib | few
    IN | E5 | Ib,v | few
    OUT | E6 | Ib | few
    OUT | E7 | Ib,v | few
    INS | 6C | | few
    INS | 6D | v | few
    OUTS | 6E | | few
    OUTS | 6F | v | few
    IN | EC | | few
    IN | ED | v | few
    OUT | EE | | few
    OUT | EF | v | few
    CLTS | 0F 06 | | few plain
    INVD | 0F 08 | | few plain
    WBINVD | 0F 09 | | few plain
    WRMSR | 0F 30 | | few plain
    RDMSR | 0F 32 | | few plain
    LLDT | 0F 00 /2 | Ew,v | few plain
    LTR | 0F 00 /3 | Ew,v | few plain
    LGDT | 0F 01 /2 | Mb,v | few plain
    LIDT | 0F 01 /3 | Mb,v | few plain
    LMSW | 0F 01 /6 | Ew,v | few plain
    INVLPG | 0F 01 /7 | Mb | few plain
    SWAPGS | 0F 01 F8 | | o64 few plain
    MOV | 0F 20 /r | Rb | plain
    MOV | 0F 21 /r | Rb | few plain
    MOV | 0F 22 /r | Rb | few plain
    MOV | 0F 23 /r | Rb | few plain`,
  undefined: `
    UD0 | 0F FF /r | Ev | few plain
    UD1 | 0F B9 /r | Ev | few plain
    UD2 | 0F 0B | | few plain
    UD | 0F 04 | | few plain
    UD | 0F 0A | | few plain
    UD | 0F 0C | | few plain
    UD | 0F 24 | | few plain
    UD | 0F 36 | | few plain
    UD | 0F 3F | | few plain
    UD | 0F A6 | | few plain
    UD | 0F BA /0 | Ev,Ib | few plain
    UD | 0F BA /3 | Ev,Ib | few plain
    UD | 0F C7 /1 | Rv | few plain
    UD | 0F C3 /r | Rv,Gv | few plain
    UD | 8D /r | Gv,Rv | few plain
    UD | FE /2 | Eb | few plain
    UD | FE /7 | Eb | few plain
    UD | FF /7 | Ev | few plain
    UD | C6 /1 | Eb,Ib | few plain
    UD | C7 /2 | Ev,Iz | few plain
    UD | 8C /6 | Rv | few plain
    UD | 8E /1 | Ew | few plain
    UD | 8E /6 | Ew | few plain
    UD | 06 | | o64 few
    UD | 07 | | o64 few
    UD | 0E | | o64 few
    UD | 16 | | o64 few
    UD | 17 | | o64 few
    UD | 1E | | o64 few
    UD | 1F | | o64 few
    UD | 27 | | o64 few
    UD | 2F | | o64 few
    UD | 37 | | o64 few
    UD | 3F | | o64 few
    UD | 60 | | o64 few
    UD | 61 | | o64 few
    UD | 82 /0 | Eb,Ib | o64 few
    UD | 9A | | o64 few
    UD | CE | | o64 few
    UD | D4 | Ib | o64 few
    UD | D5 | Ib | o64 few
    UD | D6 | | o64 few
    UD | EA | | o64 few`,
};

const MAPS: Record<string, 1 | 2 | 3> = { "0F": 1, "0F38": 2, "0F3A": 3 };
const PREFIXES: Record<string, number> = { "66": 0x66, F2: 0xf2, F3: 0xf3 };

function parseForm(family: string, line: string): Form {
  const [mnemonic, encoding, operands, attributes] = line.split("|").map((part) => part.trim());
  const tokens = words(encoding);
  const form: Form = {
    family,
    mnemonic,
    text: `${mnemonic} ${encoding} ${operands}`,
    mandatory: undefined,
    vex: false,
    map: 0,
    opcode: 0,
    registerInOpcode: false,
    modrm: false,
    digit: undefined,
    fixed: undefined,
    operands: operands === "" ? [] : operands.split(","),
    attributes: new Set(attributes.split(" ").filter((word) => word !== "")),
  };
  if (tokens[0].startsWith("VEX.")) {
    const [, prefix, map] = tokens.shift()!.split(".");
    form.vex = true;
    form.mandatory = PREFIXES[prefix];
    form.map = MAPS[map];
  } else {
    if (tokens.length > 1 && PREFIXES[tokens[0]] !== undefined) form.mandatory = PREFIXES[tokens.shift()!];
    if (MAPS[tokens[0]] !== undefined) form.map = MAPS[tokens.shift()!];
  }
  const opcode = tokens.shift()!;
  form.opcode = Number.parseInt(opcode, 16);
  form.registerInOpcode = opcode.endsWith("+r");
  const last = tokens.shift();
  form.modrm = last !== undefined;
  if (last?.startsWith("/")) form.digit = last === "/r" ? undefined : Number(last.slice(1));
  else if (last !== undefined) form.fixed = Number.parseInt(last, 16);
  return form;
}

/** Every form, by family. */
export const FORMS: ReadonlyMap<string, readonly Form[]> = new Map(
  Object.entries(FAMILIES).map(([family, text]) => [
    family,
    text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => parseForm(family, line)),
  ]),
);
