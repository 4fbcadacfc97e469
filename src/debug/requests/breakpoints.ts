/** Breakpoints of every kind. */
import type { BreakpointWish, Place } from "../breakpoints/breakpoints";
import { dataIdOf, LONGEST_WATCH } from "../breakpoints/dataBreakpoints";
import { linesWithCode, locateFunction, locateLine } from "../breakpoints/locate";
import { protocolBreakpoint } from "../breakpoints/shown";
import { RequestError } from "../dispatcher";
import { parseReference } from "../memoryReference";
import {
  BREAKPOINT_LOCATIONS,
  DATA_BREAKPOINT_INFO,
  SET_BREAKPOINTS,
  SET_DATA_BREAKPOINTS,
  SET_EXCEPTION_BREAKPOINTS,
  SET_FUNCTION_BREAKPOINTS,
  SET_INSTRUCTION_BREAKPOINTS,
} from "../protocol/standard";
import type { Session } from "../session";

/** Registers the handlers. */
export function registerBreakpointRequests(session: Session): void {
  const { dispatcher, breakpoints } = session;
  dispatcher.on(SET_BREAKPOINTS, ({ source, breakpoints: wanted }) => {
    const reference = source.sourceReference ?? 0;
    const path = reference > 0 ? "" : requirePath(source.path);
    const set = breakpoints.replace(
      reference > 0 ? `listing:${reference}` : `source:${path}`,
      requireLaunched(session, wanted).map((wish) => ({
        locate: () =>
          reference > 0 ? listingPlace(session, reference, wish.line) : linePlace(session, path, wish.line),
        wish: wishOf(wish),
      })),
    );
    return { breakpoints: set.map((each) => shown(session, each)) };
  });
  dispatcher.on(BREAKPOINT_LOCATIONS, ({ source, line, endLine }) => {
    const { debuggee } = session;
    const first = fromClient(session, line);
    const last = endLine === undefined ? first : fromClient(session, endLine);
    const listing = debuggee.listings.get(source.sourceReference ?? 0);
    const lines =
      listing === undefined
        ? linesWithCode(debuggee.target, debuggee.sources.toFiles(requirePath(source.path)), first, last)
        : listing.addresses.flatMap((address, index) =>
            address !== undefined && index + 1 >= first && index + 1 <= last ? [index + 1] : [],
          );
    return { breakpoints: lines.map((each) => ({ line: toClient(session, each) })) };
  });
  dispatcher.on(SET_FUNCTION_BREAKPOINTS, ({ breakpoints: wanted }) => {
    const set = breakpoints.replace(
      "functions",
      requireLaunched(session, wanted).map((wish) => ({
        locate: () => functionPlace(session, wish.name),
        wish: wishOf(wish),
      })),
    );
    return { breakpoints: set.map((each) => shown(session, each)) };
  });
  dispatcher.on(SET_INSTRUCTION_BREAKPOINTS, ({ breakpoints: wanted }) => {
    const set = breakpoints.replace(
      "instructions",
      requireLaunched(session, wanted).map((wish) => ({
        locate: () => instructionPlace(wish.instructionReference, wish.offset),
        wish: wishOf(wish),
      })),
    );
    return { breakpoints: set.map((each) => shown(session, each)) };
  });
  dispatcher.on(SET_EXCEPTION_BREAKPOINTS, ({ filters, filterOptions }) => {
    const answers = session.filters.set([
      ...filters.map((filter) => ({ filter })),
      ...filterOptions.map(({ filterId, condition }) => ({ filter: filterId, condition })),
    ]);
    if (session.launched) session.debuggee.want(session.filters.kinds);
    return { breakpoints: answers };
  });
  dispatcher.on(DATA_BREAKPOINT_INFO, (args) => dataInfo(session, args));
  dispatcher.on(SET_DATA_BREAKPOINTS, ({ breakpoints: wanted }) => {
    const set = session.dataBreakpoints.set(
      requireLaunched(session, wanted).map((wish) => ({
        dataId: wish.dataId,
        accessType: wish.accessType,
        wish: wishOf(wish),
      })),
    );
    return { breakpoints: set.map(protocolBreakpoint) };
  });
}

/** Places can only be found in an image. */
function requireLaunched<T>(session: Session, wanted: T): T {
  void session.debuggee;
  return wanted;
}

function requirePath(path: string | undefined): string {
  if (path === undefined) throw new RequestError("a source breakpoint needs the path of its source");
  return path;
}

function wishOf({ condition, hitCondition, logMessage }: BreakpointWish): BreakpointWish {
  return { condition, hitCondition, logMessage };
}

function linePlace(session: Session, path: string, line: number): Place {
  const { target, sources } = session.debuggee;
  const located = locateLine(target, sources.toFiles(path), fromClient(session, line));
  return located ?? { problem: `no code of the image comes from this line of ${path}` };
}

/** An instruction of a listing, or the first one behind a comment. */
function listingPlace(session: Session, reference: number, line: number): Place {
  const addresses = session.debuggee.listings.get(reference)?.addresses ?? [];
  const from = fromClient(session, line) - 1;
  const index = addresses.findIndex((address, each) => each >= from && address !== undefined);
  const address = addresses[index];
  if (address === undefined) return { problem: "there is no instruction at or behind this line" };
  return { addresses: [session.debuggee.target.symbols.linkedOf(address) ?? address], line: index + 1 };
}

function functionPlace(session: Session, name: string): Place {
  const address = locateFunction(session.debuggee.target, name.trim());
  return address === undefined
    ? { problem: `the image has no function "${name.trim()}"` }
    : { addresses: [address] };
}

function instructionPlace(reference: string, offset: number): Place {
  const place = parseReference(reference);
  if (place?.space !== "linear") return { problem: `"${reference}" is no address of an instruction` };
  return { addresses: [BigInt.asUintN(64, place.address + BigInt(offset))] };
}

function shown(session: Session, breakpoint: Parameters<typeof protocolBreakpoint>[0]) {
  const { line } = breakpoint;
  return protocolBreakpoint(
    line === undefined ? breakpoint : { ...breakpoint, line: toClient(session, line) },
  );
}

interface DataInfoQuery {
  readonly variablesReference?: number | undefined;
  readonly name: string;
  readonly frameId?: number | undefined;
  readonly bytes?: number | undefined;
  readonly asAddress: boolean;
}

function dataInfo(session: Session, { variablesReference, name, frameId, bytes, asAddress }: DataInfoQuery) {
  const { debuggee } = session;
  const refused = (description: string) => ({ dataId: null, description });
  if (asAddress) {
    const place = parseReference(name) ?? {
      space: "linear" as const,
      address: session.evaluation.number(name, frameId),
    };
    return watchable(place.space, place.address, bytes ?? 8, name);
  }
  const container =
    variablesReference === undefined || variablesReference === 0
      ? undefined
      : debuggee.variables.get(variablesReference);
  const found = container === undefined ? session.evaluation.locate(name, frameId) : container.locate?.(name);
  if (found === undefined) return refused(`${name} is not in memory, so that its changes cannot be watched`);
  return watchable("linear", found.address, bytes ?? found.length, name);
}

function watchable(space: "linear" | "physical", address: bigint, length: number, name: string) {
  if (length < 1 || length > LONGEST_WATCH) {
    return {
      dataId: null,
      description: `${name} has ${length} bytes; at most ${LONGEST_WATCH} can be watched at once`,
    };
  }
  return {
    dataId: dataIdOf({ space, address, length }),
    description: `${name} (${length} ${length === 1 ? "byte" : "bytes"})`,
    accessTypes: ["write" as const],
    canPersist: false,
  };
}

/** A line of the client's as debugging information counts: from 1. */
export function fromClient(session: Session, line: number): number {
  return session.client.linesStartAt1 ? line : line + 1;
}

/** The reverse. */
export function toClient(session: Session, line: number): number {
  return session.client.linesStartAt1 ? line : line - 1;
}
