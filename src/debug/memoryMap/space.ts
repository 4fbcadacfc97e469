/**
 * Which addresses the physical side of the map has: those of the machine, or, of a paravirtual domain, those that the
 * domain counts its own memory by.
 */
import type { Target } from "../../target/target";
import type { SpaceName } from "../protocol/memoryMap";

export interface PhysicalSpace {
  readonly name: SpaceName;
  /** A machine address in the space; undefined where it has none. */
  of(machine: number): number | undefined;
}

const PAGE = 4096;
const MACHINE: PhysicalSpace = { name: "machine", of: (machine) => machine };

/** The space of a name; the machine's where there is no hypervisor. */
export function spaceOf({ xen }: Target, name: SpaceName): PhysicalSpace {
  if (xen === undefined || name === "machine") return MACHINE;
  const { frames } = xen.domain;
  return {
    name,
    of: (machine) => {
      const pfn = frames.pfnOf(Math.floor(machine / PAGE));
      return pfn < 0 ? undefined : pfn * PAGE + (machine % PAGE);
    },
  };
}
