/** Exception filters: the event vocabulary, each with an optional condition over the event's fields. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { EVENT_KINDS, type EventKind, type MachineEvent } from "../../machine/events";
import { EVENT_FIELDS, fieldNames } from "./eventFields";

/** What evaluates conditions over an event's fields. */
export interface EventConditions {
  /** @returns what asks the condition of an event @throws an Error with a sentence where it is malformed */
  parse(condition: string, fields: readonly string[]): (event: MachineEvent, hits: number) => boolean;
}

/** Set unless the user asks otherwise: what the boot programs are about, and what ends a run. */
const BY_DEFAULT: ReadonlySet<EventKind> = new Set<EventKind>([
  "page-fault",
  "reset",
  "switchover",
  "milestone",
  "hypercall-rejected",
  "base-pointer",
  "p2m-free",
  ...EVENT_KINDS.filter(({ final }) => final).map(({ kind }) => kind),
]);

/** The filters as they are announced. */
export const EXCEPTION_FILTERS: readonly DebugProtocol.ExceptionBreakpointsFilter[] = EVENT_KINDS.map(
  ({ kind, label }) => ({
    filter: kind,
    label,
    description: `Stops on: ${label}`,
    default: BY_DEFAULT.has(kind),
    supportsCondition: true,
    conditionDescription: descriptionOf(kind),
  }),
);

function descriptionOf(kind: EventKind): string {
  const { example } = EVENT_FIELDS[kind];
  return `${example === "" ? "hits == 2" : `such as ${example}`}; fields: ${fieldNames(kind).join(", ")}`;
}

interface Filter {
  readonly holds: ((event: MachineEvent, hits: number) => boolean) | undefined;
  hits: number;
}

export class ExceptionFilters {
  private filters = new Map<EventKind, Filter>();

  constructor(
    private readonly conditions: EventConditions,
    private readonly say: (text: string) => void,
  ) {}

  /** The kinds that are stopped on. */
  get kinds(): ReadonlySet<EventKind> {
    return new Set(this.filters.keys());
  }

  /** Sets all filters in place of those before. @returns for each whether it can be used */
  set(wanted: readonly { filter: string; condition?: string | undefined }[]): DebugProtocol.Breakpoint[] {
    const filters = new Map<EventKind, Filter>();
    const answers = wanted.map(({ filter, condition }): DebugProtocol.Breakpoint => {
      const kind = EVENT_KINDS.find((description) => description.kind === filter)?.kind;
      if (kind === undefined) return { verified: false, message: `there is no event "${filter}"` };
      try {
        const holds = condition ? this.conditions.parse(condition, fieldNames(kind)) : undefined;
        filters.set(kind, { holds, hits: 0 });
        return { verified: true };
      } catch (error) {
        return { verified: false, message: `the condition "${condition}": ${(error as Error).message}` };
      }
    });
    this.filters = filters;
    return answers;
  }

  /** Whether an event is to stop. Counts it. */
  stopsAt(event: MachineEvent): boolean {
    const filter = this.filters.get(event.event);
    if (filter === undefined) return false;
    filter.hits++;
    return this.holds(filter, event, filter.hits, this.say);
  }

  /** The same for searches. @param hits how many events of the kind there were, this one among them */
  wouldStop(event: MachineEvent, hits: number): boolean {
    const filter = this.filters.get(event.event);
    return filter !== undefined && this.holds(filter, event, hits, () => {});
  }

  private holds(filter: Filter, event: MachineEvent, hits: number, say: (text: string) => void): boolean {
    if (filter.holds === undefined) return true;
    try {
      return filter.holds(event, hits);
    } catch (error) {
      say(`The condition on ${event.event} cannot be evaluated: ${(error as Error).message}`);
      return true;
    }
  }
}
