/** Why a debuggee stands still. */
import type { DataChange } from "../../machine/dataBreakpoints";
import type { MachineEvent } from "../../machine/events";

export type Stop =
  | { readonly kind: "entry" }
  | { readonly kind: "step" }
  | { readonly kind: "pause" }
  /** The user put RIP elsewhere. */
  | { readonly kind: "goto" }
  /** The user went to another moment. */
  | {
      readonly kind: "moment";
      readonly reason: string;
      readonly description: string;
      readonly preserveFocus?: boolean;
    }
  | { readonly kind: "breakpoint"; readonly ids: readonly number[] }
  /** An event that somebody wants to stop on; a fault is not delivered yet. The most telling one first. */
  | { readonly kind: "event"; readonly events: readonly MachineEvent[] }
  | { readonly kind: "data"; readonly change: DataChange; readonly rip: bigint }
  /** The machine cannot go on after this event. */
  | { readonly kind: "end"; readonly event: MachineEvent }
  /** The machine itself failed: it holds as much memory as it can. */
  | { readonly kind: "failure"; readonly message: string };
