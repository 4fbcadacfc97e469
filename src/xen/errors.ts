/** What the hypervisor says no to. */
import { ERRNO, type ErrnoName } from "./abi";

/** A domain that cannot be built: the image, its notes or its memory do not allow it. One sentence for the user. */
export class DomainError extends Error {
  override name = "DomainError";
}

/** A request of the guest that breaks a rule. Thrown by what checks, answered by the hypercall that asked. */
export class Rejection {
  /** @param reason one sentence: what was asked, and the rule that forbids it */
  constructor(
    readonly errno: ErrnoName,
    readonly reason: string,
  ) {}

  get result(): number {
    return -ERRNO[this.errno];
  }
}
