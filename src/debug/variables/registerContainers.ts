/** Registers in the Variables view: by group, flag registers with their named bits below them. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { fieldOf, namesOfBits, type RegisterBit } from "../../target/registerBits";
import {
  findRegister,
  REGISTERS,
  type RegisterDescription,
  type RegisterGroup,
  readRegister,
} from "../../target/registers";
import type { Target } from "../../target/target";
import { RequestError } from "../dispatcher";
import type { Container, VariableStore, VariablesQuery } from "./store";

/** What register containers need of the session. */
export interface RegisterAccess {
  readonly target: Target;
  readonly store: VariableStore;
  /** A value as the user wrote it. @throws an Error with a sentence */
  evaluate(text: string): bigint;
  /** Changes a register of the CPU, by the CPU's rules. @throws an Error with a sentence */
  write(register: RegisterDescription, value: bigint): void;
}

/** The groups as scopes. */
export const REGISTER_SCOPES: readonly { name: string; group: RegisterGroup }[] = [
  { name: "General registers", group: "general" },
  { name: "Control registers", group: "control" },
  { name: "Segments and descriptor tables", group: "segments" },
  { name: "MSRs", group: "msrs" },
];

/** The registers of one group. */
export class RegisterContainer implements Container {
  constructor(
    private readonly access: RegisterAccess,
    private readonly group: RegisterGroup,
  ) {}

  list(_query: VariablesQuery): DebugProtocol.Variable[] {
    return REGISTERS.filter(({ group }) => group === this.group).flatMap((register) => {
      const value = readRegister(this.access.target.machine.cpu, register);
      return value === undefined ? [] : [this.variable(register, value)];
    });
  }

  set(name: string, value: string): DebugProtocol.SetVariableResponse["body"] {
    const register = findRegister(name);
    if (register === undefined) throw new RequestError(`there is no register "${name}"`);
    this.access.write(register, this.access.evaluate(value));
    const now = readRegister(this.access.target.machine.cpu, register) ?? 0n;
    return { value: registerText(register, now, this.access.target) };
  }

  private variable(register: RegisterDescription, value: bigint): DebugProtocol.Variable {
    const { bits, name } = register;
    const { target, store } = this.access;
    return {
      name,
      value: registerText(register, value, target),
      type: `${register.width} bits`,
      evaluateName: `$${name}`,
      variablesReference: bits === undefined ? 0 : store.add(new BitContainer(this.access, register, bits)),
      ...(register.width === 64 ? { memoryReference: `0x${value.toString(16)}` } : {}),
      ...(register.write === undefined ? { presentationHint: { attributes: ["readOnly"] } } : {}),
    };
  }
}

/** The bits of a flag register; those that are 0 too, so that they can be set. */
class BitContainer implements Container {
  constructor(
    private readonly access: RegisterAccess,
    private readonly register: RegisterDescription,
    private readonly bits: readonly RegisterBit[],
  ) {}

  list(): DebugProtocol.Variable[] {
    const value = this.value();
    return this.bits.map((field) => ({
      name: field.name,
      value: `${fieldOf(value, field.bit, field.width)}`,
      type: `bit ${field.bit}: ${field.meaning}`,
      variablesReference: 0,
    }));
  }

  set(name: string, text: string): DebugProtocol.SetVariableResponse["body"] {
    const field = this.bits.find((candidate) => candidate.name === name);
    if (field === undefined) throw new RequestError(`$${this.register.name} has no bit "${name}"`);
    const { bit, width = 1 } = field;
    const wanted = this.access.evaluate(text);
    if (BigInt.asUintN(width, wanted) !== wanted) {
      throw new RequestError(
        `${name} has ${width === 1 ? "1 bit" : `${width} bits`}, and ${text} does not fit`,
      );
    }
    const mask = ((1n << BigInt(width)) - 1n) << BigInt(bit);
    this.access.write(this.register, (this.value() & ~mask) | (wanted << BigInt(bit)));
    return { value: `${fieldOf(this.value(), bit, width)}` };
  }

  private value(): bigint {
    return readRegister(this.access.target.machine.cpu, this.register) ?? 0n;
  }
}

/** A register's value as shown: hexadecimal, with the names of its bits, or of what it points at. */
export function registerText(register: RegisterDescription, value: bigint, target: Target): string {
  const digits = `0x${value.toString(16).padStart(register.width / 4, "0")}`;
  if (register.bits !== undefined) {
    const names = namesOfBits(value, register.bits);
    return names === "" ? digits : `${digits} ${names}`;
  }
  if (register.width !== 64) return digits;
  const name =
    register.name === "cr3" ? target.places.physical(target.pagingState.root) : target.places.symbol(value);
  return name === undefined ? digits : `${digits} <${name}>`;
}
