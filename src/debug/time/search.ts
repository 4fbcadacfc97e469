/** The last stop before the present moment: what "continue" would have stopped on, going backwards. */
import type { Part, Probe } from "../../machine/checkpoints/history";
import type { EventKind, MachineEvent } from "../../machine/events";
import type { RunResult } from "../../machine/machine";
import { PAGE_SIZE } from "../../machine/memory";
import type { DataHit } from "../breakpoints/dataBreakpoints";
import { ALWAYS_RECORDED, type Debuggee } from "../debuggee";
import type { Stop } from "../run/stop";
import type { Session } from "../session";

export interface ReverseStop {
  readonly stop: Stop;
  readonly data: DataHit | undefined;
}

/** Has the machine tell of events during a search, for as long as it takes. */
export function listenTo(
  { target, control }: Debuggee,
  kinds: ReadonlySet<EventKind>,
  addresses: readonly bigint[],
  wants: (event: MachineEvent) => boolean,
): { take(): MachineEvent[] } {
  let stopping: MachineEvent[] = [];
  target.machine.want(kinds);
  control.listen(addresses, (event) => {
    if (wants(event)) stopping.push(event);
    return stopping.length > 0;
  });
  return {
    take: () => {
      const taken = stopping;
      stopping = [];
      return taken;
    },
  };
}

/** What finds the breakpoints, data breakpoints and events that the user stops on. */
export function stopProbe(session: Session): Probe<ReverseStop> {
  const { debuggee, breakpoints, dataBreakpoints, filters } = session;
  const { machine } = debuggee.target;
  const kinds = filters.kinds;
  const addresses = [...breakpoints.addresses];
  const wouldStop = (event: MachineEvent) =>
    filters.wouldStop(event, debuggee.timeline.countUpTo(event.event, event.instruction));
  const events = listenTo(debuggee, kinds, addresses, wouldStop);
  const hit = (result: RunResult): ReverseStop | undefined => {
    const stopping = events.take();
    debuggee.stack.invalidate();
    if (stopping.length > 0) {
      const [event] = stopping;
      const stop: Stop =
        result.reason === "ended" ? { kind: "end", event } : { kind: "event", events: stopping };
      return { stop, data: undefined };
    }
    if (result.reason === "data") {
      const data = dataBreakpoints.wouldStop(result.change);
      const { rip } = machine.cpu;
      return data && { stop: { kind: "data", change: result.change, rip }, data };
    }
    const ids = result.reason === "breakpoint" ? breakpoints.wouldStop(machine.cpu.rip) : undefined;
    return ids && { stop: { kind: "breakpoint", ids }, data: undefined };
  };
  const mayHit = (part: Part) =>
    addresses.length > 0 ||
    mayHaveWritten(part, dataBreakpoints.ranges) ||
    [...kinds].some((kind) => mayHaveEvent(debuggee, kind, part, wouldStop));
  return { hit, mayHit };
}

/** Whether an event may have come in a part of the run: those that are always recorded are known. */
export function mayHaveEvent(
  { timeline }: Debuggee,
  kind: EventKind,
  { from, to }: Part,
  accept: (event: MachineEvent) => boolean = () => true,
): boolean {
  if (!ALWAYS_RECORDED.has(kind)) return true;
  return timeline.mayHave(kind, from.instruction - 1, to.instruction, accept);
}

/** Whether bytes of some ranges of physical memory may have been written in a part of the run. */
export function mayHaveWritten(
  part: Part,
  ranges: readonly { readonly address: number; readonly length: number }[],
): boolean {
  return ranges.some(({ address, length }) => {
    for (let at = address; at < address + length; ) {
      const end = Math.min(address + length, at - (at % PAGE_SIZE) + PAGE_SIZE);
      if (part.mayHaveWritten(at, end - at)) return true;
      at = end;
    }
    return false;
  });
}
