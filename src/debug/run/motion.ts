/**
 * What a step is made of. A step is a generator of motions: it yields the next motion, and is given what came of it;
 * when it ends, the step is complete. Stops that the user asked for end it from outside at any time.
 */

export type Motion =
  /**
   * One instruction. Where it faults, its exception is delivered, and RIP is on the handler's first instruction; an
   * exception that waited for delivery is delivered in place of an instruction.
   */
  | { readonly move: "instruction" }
  /** At full speed up to one of the addresses (linear), where `accept` agrees. */
  | {
      readonly move: "to";
      readonly addresses: readonly bigint[];
      accept(): boolean;
    }
  /** At full speed until an IRET has gone back with RSP as given. */
  | { readonly move: "interrupt-return"; readonly stackPointer: bigint };

export interface Outcome {
  /** An exception was delivered: RSP of the code that it interrupted. */
  readonly interrupted?: { readonly stackPointer: bigint };
}

export type Motions = Generator<Motion, void, Outcome>;
