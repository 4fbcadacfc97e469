/** The search for the next use of a stale translation: which events it stops at, and what it says when there is none. */
import type { MachineEvent, StaleTlbEvent } from "../../machine/events";
import type { StructureEntry, TlbEntry } from "../../machine/tlb";
import type { Target } from "../../target/target";
import type { Stop } from "../run/stop";

/**
 * Invariant: a search stops once at each cached translation; at its next use after the machine was put back to an
 * earlier moment again.
 */
export class StaleUseSearch {
  private searching = false;
  /** What it has stopped at, and the instruction that used it. */
  private readonly found = new WeakMap<TlbEntry | StructureEntry, number>();

  get active(): boolean {
    return this.searching;
  }

  /** Begins: every translation is compared at its next use, also where an event has told of it before. */
  begin({ machine }: Target): void {
    this.searching = true;
    machine.cpu.mmu.tablesChanged();
  }

  /** Whether an event is what is searched for. */
  stopsAt(event: MachineEvent, { machine }: Target): boolean {
    if (event.event !== "stale-tlb") return false;
    const used = usedBy(event, machine.cpu.mmu);
    if (used === undefined) return true;
    const before = this.found.get(used);
    if (before !== undefined && before < event.instruction) return false;
    this.found.set(used, event.instruction);
    return true;
  }

  /** Another boot begins. */
  cancel(): void {
    this.searching = false;
  }

  /** The run is over. @returns what is to be said where it was not by a stale use */
  end(stop: Stop): string | undefined {
    if (!this.searching) return undefined;
    this.searching = false;
    const found = stop.kind === "event" && stop.events.some(({ event }) => event === "stale-tlb");
    if (found) return undefined;
    return `Find Stale Use: ${STOPPED[stop.kind] ?? "the run stopped"} before another stale translation was used.`;
  }
}

const STOPPED: Partial<Record<Stop["kind"], string>> = {
  end: "the run came to its end",
  pause: "the run was paused",
  failure: "the machine could not go on",
};

function usedBy({ address }: StaleTlbEvent, mmu: Target["machine"]["cpu"]["mmu"]) {
  const { translation, structure } = mmu.held(address);
  return translation ?? structure?.entry;
}
