/** What an expression is evaluated in. */
import type { CType } from "../../symbols/types";
import type { CTypes, Value } from "./value";

export interface Environment {
  readonly types: CTypes;
  /** A variable, function, symbol or enumerator. @throws ExpressionError where it is known, but has no value here */
  name(name: string): Value | undefined;
  /** A type by what C calls it: "struct pool", "pmd_t". */
  type(name: string): CType | undefined;
  register(name: string): Value | undefined;
  /** Linear memory; undefined unless all of it is mapped. */
  read(address: bigint, length: number): Uint8Array | undefined;
  /** @throws ExpressionError where it cannot be written */
  write(address: bigint, bytes: Uint8Array): void;
  /** @throws an Error with a sentence where the CPU refuses the value */
  writeRegister(name: string, value: bigint): void;
}
