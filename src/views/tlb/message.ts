/** What the TLB view says above its rows. */
import { TLB_FILTERS, type TlbFilter } from "../../debug/protocol/tlb";

/** Which entries are shown. */
export interface TlbChoice {
  readonly filter: TlbFilter;
  readonly pcid?: number;
  /** An expression for a linear address. */
  readonly at?: string;
}

/** What was answered. */
export interface TlbState {
  readonly running: boolean;
  readonly empty?: string;
  readonly summary: string;
}

/** One line, or nothing. */
export function tlbMessage(choice: TlbChoice, { running, empty, summary }: TlbState): string {
  const parts = running ? ["Running. The TLB is shown as it was."] : [];
  const filter = filterText(choice);
  if (filter !== undefined) parts.push(`Filter: ${filter}.`);
  parts.push(empty ?? summary);
  return parts.filter((part) => part !== "").join(" ");
}

function filterText({ filter, pcid, at }: TlbChoice): string | undefined {
  if (at !== undefined) return `what translates ${at}`;
  if (pcid !== undefined) return `PCID ${pcid} and global`;
  return filter === "none" ? undefined : TLB_FILTERS[filter].split(":")[0].toLowerCase();
}
