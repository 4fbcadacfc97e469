/** The call stack and what is in scope in its frames. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Debuggee } from "../debuggee";
import { StaleError } from "../dispatcher";
import { SCOPES, STACK_TRACE } from "../protocol/standard";
import { toHex } from "../protocol/values";
import type { Session } from "../session";
import type { Frame } from "../stack/stack";
import { canRestart } from "../time/restartFrame";
import { scopesOf } from "../variables/scopes";
import { toClient } from "./breakpoints";

/** Registers the handlers. */
export function registerStackRequests(session: Session): void {
  const { dispatcher } = session;
  dispatcher.on(STACK_TRACE, ({ startFrame, levels }) => {
    const { stopped } = session;
    const frames = stopped.stack.all();
    const end = levels === 0 ? frames.length : startFrame + levels;
    return {
      stackFrames: frames
        .slice(startFrame, end)
        .map((frame, index) => stackFrame(session, stopped, frame, startFrame + index + 1)),
      totalFrames: frames.length,
    };
  });
  dispatcher.on(SCOPES, ({ frameId }) => {
    const { stopped } = session;
    const frame = stopped.frame(frameId);
    if (frame === undefined) throw new StaleError(`there is no frame ${frameId} at this stop`);
    return { scopes: scopesOf(session, stopped, frame, frameId) };
  });
}

/**
 * Does what describing the innermost frame takes, before a stop is told of. VS Code asks for that frame then, and 50 ms
 * later for all of them: where it has no answer by then, it focuses a frame that it replaces, whose exception it does not show.
 */
export function prepareInnermost(session: Session, debuggee: Debuggee): void {
  try {
    const [frame] = debuggee.stack.all();
    if (frame !== undefined) stackFrame(session, debuggee, frame, 1);
  } catch {
    // Whoever asks for the frame is told.
  }
}

function stackFrame(
  session: Session,
  debuggee: Debuggee,
  frame: Frame,
  id: number,
): DebugProtocol.StackFrame {
  const base = { id, line: 0, column: 0 };
  if (frame.exception !== undefined) {
    return { ...base, name: frame.exception, presentationHint: "label" };
  }
  const place = placeOf(debuggee, frame);
  const source = place === undefined ? undefined : debuggee.sources.source(place.file);
  const listing = source !== undefined ? undefined : debuggee.listings.of(frame, place?.file);
  const { places } = debuggee.target;
  const symbol = frame.interrupted ? places.symbol(frame.rip) : places.caller(frame.rip);
  const name = frame.scope?.name ?? symbol ?? toHex(frame.rip);
  return {
    ...base,
    name: frame.scope?.inlined === true ? `${name} [inlined]` : name,
    instructionPointerReference: toHex(frame.rip),
    canRestart: debuggee.history !== undefined && canRestart(frame),
    ...(listing !== undefined
      ? {
          source: listing.source,
          line: toClient(session, listing.line),
          column: session.client.columnsStartAt1 ? 1 : 0,
        }
      : place === undefined || source === undefined
        ? { presentationHint: "subtle" as const }
        : {
            source,
            line: toClient(session, place.line),
            column: session.client.columnsStartAt1
              ? Math.max(1, place.column)
              : Math.max(0, place.column - 1),
          }),
  };
}

/** Where a frame stands in the sources. */
function placeOf(
  { target }: Debuggee,
  { call, lookup }: Frame,
): { file: string; line: number; column: number } | undefined {
  if (call !== undefined) return call;
  const row = lookup === undefined ? undefined : target.symbols.lines?.rowOf(lookup);
  return row === undefined || row.line === 0 ? undefined : row;
}
