/** The mnemonics of conditional instructions, by the encoding of their condition (see `CONDITIONS`). */
import { Mnemonic } from "iced-x86";

export const JCC_MNEMONICS = [
  Mnemonic.Jo,
  Mnemonic.Jno,
  Mnemonic.Jb,
  Mnemonic.Jae,
  Mnemonic.Je,
  Mnemonic.Jne,
  Mnemonic.Jbe,
  Mnemonic.Ja,
  Mnemonic.Js,
  Mnemonic.Jns,
  Mnemonic.Jp,
  Mnemonic.Jnp,
  Mnemonic.Jl,
  Mnemonic.Jge,
  Mnemonic.Jle,
  Mnemonic.Jg,
];

export const CMOV_MNEMONICS = [
  Mnemonic.Cmovo,
  Mnemonic.Cmovno,
  Mnemonic.Cmovb,
  Mnemonic.Cmovae,
  Mnemonic.Cmove,
  Mnemonic.Cmovne,
  Mnemonic.Cmovbe,
  Mnemonic.Cmova,
  Mnemonic.Cmovs,
  Mnemonic.Cmovns,
  Mnemonic.Cmovp,
  Mnemonic.Cmovnp,
  Mnemonic.Cmovl,
  Mnemonic.Cmovge,
  Mnemonic.Cmovle,
  Mnemonic.Cmovg,
];

export const SET_MNEMONICS = [
  Mnemonic.Seto,
  Mnemonic.Setno,
  Mnemonic.Setb,
  Mnemonic.Setae,
  Mnemonic.Sete,
  Mnemonic.Setne,
  Mnemonic.Setbe,
  Mnemonic.Seta,
  Mnemonic.Sets,
  Mnemonic.Setns,
  Mnemonic.Setp,
  Mnemonic.Setnp,
  Mnemonic.Setl,
  Mnemonic.Setge,
  Mnemonic.Setle,
  Mnemonic.Setg,
];
