/** The kinds of marks: their lanes, names and shapes. Colours are in the style sheet, by the kind. */

/** From top to bottom. */
export const LANES = [
  { name: "faults", label: "Faults" },
  { name: "roots", label: "Roots" },
  { name: "tables", label: "Tables" },
  { name: "program", label: "Program" },
] as const;
export type LaneName = (typeof LANES)[number]["name"];

interface Kind {
  readonly lane: LaneName;
  readonly label: string;
  /** Around the origin, from -5 to 5. */
  readonly shape: string;
}

const DISC = "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z";
/** By lane, the most telling first: a mark that stands for several has the shape of that. */
const KINDS: Readonly<Record<string, Kind>> = {
  "triple-fault": { lane: "faults", label: "Triple fault", shape: "M-2 -5H2L5 -2V2L2 5H-2L-5 2V-2Z" },
  unimplemented: {
    lane: "faults",
    label: "Not implemented",
    shape: "M-5 -5H5V5H-5ZM-3 -3V3H3V-3Z",
  },
  "stale-tlb": { lane: "faults", label: "Stale translation", shape: "M0 -5L5 5H-5ZM-0.8 -1V2H0.8V-1Z" },
  "page-fault": { lane: "faults", label: "Page fault", shape: "M0 5L-5 -4H5Z" },
  exception: {
    lane: "faults",
    label: "Exception",
    shape: "M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z",
  },
  switchover: { lane: "roots", label: "Switchover", shape: "M-5 0L-1 -5V-2H1V-5L5 0L1 5V2H-1V5Z" },
  "paging-mode": { lane: "roots", label: "Paging mode", shape: "M0 -5L5 0L0 5L-5 0Z" },
  "base-pointer": { lane: "roots", label: "Base pointer", shape: "M-4 -5L5 0L-4 5L-2 0Z" },
  "cr3-load": { lane: "roots", label: "CR3 load", shape: "M-5 -2H0V-5L5 0L0 5V2H-5Z" },
  reset: {
    lane: "tables",
    label: "Reset",
    shape: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0ZM-2.5 0a2.5 2.5 0 1 1 5 0a2.5 2.5 0 1 1 -5 0Z",
  },
  "p2m-free": { lane: "tables", label: "P->M list freed", shape: "M-5 -5H5V-2H-5ZM-4 -1H4L3 5H-3Z" },
  pin: { lane: "tables", label: "Pin", shape: "M-3 -5H3V0H5V2H1L0 5L-1 2H-5V0H-3Z" },
  "table-write": { lane: "tables", label: "Table write", shape: "M-1.5 -5H1.5V5H-1.5Z" },
  "tlb-flush": { lane: "tables", label: "TLB flush", shape: "M-5 -4H5L1 1V5H-1V1Z" },
  exit: { lane: "program", label: "Exit", shape: "M-5 0L-3 -2L-1 0L4 -5L5 -3L-1 5Z" },
  halt: { lane: "program", label: "Halt", shape: "M-4 -4H4V4H-4Z" },
  "hypercall-rejected": {
    lane: "program",
    label: "Hypercall refused",
    shape:
      "M-5 -5H5V5H-5ZM-4 -2.5L-2.5 -4L0 -1.5L2.5 -4L4 -2.5L1.5 0L4 2.5L2.5 4L0 1.5L-2.5 4L-4 2.5L-1.5 0Z",
  },
  edit: { lane: "program", label: "Changed by the user", shape: "M-5 5L-4 1L2 -5L5 -2L-1 4Z" },
  milestone: { lane: "program", label: "Milestone", shape: "M-4 -5H5L2 -2L5 1H-2V5H-4Z" },
  hypercall: { lane: "program", label: "Hypercall", shape: "M0 -5L5 4H-5Z" },
  serial: { lane: "program", label: "Serial output", shape: "M-5 -4H5V2H0L-3 5V2H-5Z" },
};
const RANKS = Object.keys(KINDS);
const OTHER: Kind = { lane: "program", label: "Event", shape: DISC };

/** The lane that a kind's marks are in. */
export function laneOf(kind: string): LaneName {
  return (KINDS[kind] ?? OTHER).lane;
}

/** The name of a kind. */
export function labelOf(kind: string): string {
  return (KINDS[kind] ?? OTHER).label;
}

/** Where a kind stands among those of its lane: the lower, the more it tells. */
export function rankOf(kind: string): number {
  const rank = RANKS.indexOf(kind);
  return rank < 0 ? RANKS.length : rank;
}

/** A path around the origin. */
export function shapeOf(kind: string): string {
  return (KINDS[kind] ?? OTHER).shape;
}

/** The class that gives a kind its colour. */
export function classOf(kind: string): string {
  return KINDS[kind] === undefined ? "mark-other" : `mark-${kind}`;
}
