/** What can be expanded in the Variables view: containers by their reference, valid until the debuggee moves. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { StaleError } from "../dispatcher";

export interface VariablesQuery {
  readonly filter?: "indexed" | "named" | undefined;
  readonly start?: number | undefined;
  readonly count?: number | undefined;
  /** Numbers in hexadecimal. */
  readonly hex: boolean;
}

/** Something with children. */
export interface Container {
  list(query: VariablesQuery): DebugProtocol.Variable[];
  /** @throws an Error with a sentence where the child cannot be changed */
  set(name: string, value: string, hex: boolean): DebugProtocol.SetVariableResponse["body"];
  /** What of memory a child is, for data breakpoints. */
  locate?(name: string): { readonly address: bigint; readonly length: number } | undefined;
}

export class VariableStore {
  private readonly containers = new Map<number, Container>();
  private last = 0;

  /** The reference of a container from now on. */
  add(container: Container): number {
    this.containers.set(++this.last, container);
    return this.last;
  }

  /** @throws StaleError where the reference is none, or of an earlier stop */
  get(reference: number): Container {
    const found = this.containers.get(reference);
    if (found === undefined) {
      throw new StaleError(`the variables reference ${reference} is not valid at this stop`);
    }
    return found;
  }

  /** The debuggee moves: every reference ends. Numbers are not used again. */
  clear(): void {
    this.containers.clear();
  }
}
