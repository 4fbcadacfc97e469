/** Going on, stepping, pausing, and going elsewhere. */
import { locateLine } from "../breakpoints/locate";
import { RequestError } from "../dispatcher";
import {
  CONTINUE,
  EXCEPTION_INFO,
  GOTO,
  GOTO_TARGETS,
  NEXT,
  PAUSE,
  STEP_IN,
  STEP_OUT,
} from "../protocol/standard";
import { toHex } from "../protocol/values";
import { type Granularity, stepInto, stepOut, stepOver } from "../run/stepping";
import type { Session } from "../session";
import { exceptionInfo } from "../stopped";
import { fromClient } from "./breakpoints";

/** Registers the handlers. */
export function registerExecutionRequests(session: Session): void {
  const { dispatcher } = session;
  /** What a step is where the client does not say, the launch configuration does. */
  const granularityOf = (given: Granularity | undefined) =>
    given ?? session.debuggee.settings.stepGranularity;
  dispatcher.on(CONTINUE, () => {
    void session.stopped;
    session.afterResponse(() => session.resume());
    return { allThreadsContinued: true };
  });
  dispatcher.on(NEXT, ({ granularity }) => {
    const { place } = session.stopped;
    session.afterResponse(() => session.resume(stepOver(place, granularityOf(granularity))));
    return undefined;
  });
  dispatcher.on(STEP_IN, ({ granularity }) => {
    const { place } = session.stopped;
    session.afterResponse(() => session.resume(stepInto(place, granularityOf(granularity))));
    return undefined;
  });
  dispatcher.on(STEP_OUT, () => {
    const motions = stepOut(session.stopped.place);
    if (motions === undefined) {
      throw new RequestError("there is nothing to step out to: the caller of this code is not known");
    }
    session.afterResponse(() => session.resume(motions));
    return undefined;
  });
  dispatcher.on(PAUSE, () => {
    const { control } = session.debuggee;
    if (!control.isRunning) throw new RequestError("the debuggee is not running");
    control.pause();
    return undefined;
  });
  const targets: bigint[] = [];
  dispatcher.on(GOTO_TARGETS, ({ source, line }) => {
    const { target, sources } = session.stopped;
    const located =
      source.path === undefined
        ? undefined
        : locateLine(target, sources.toFiles(source.path), fromClient(session, line));
    const here = (located?.addresses ?? []).map((address) => {
      targets.push(address);
      return {
        id: targets.length,
        label: target.places.symbol(address) ?? toHex(address),
        line,
        instructionPointerReference: toHex(address),
      };
    });
    return { targets: here };
  });
  dispatcher.on(GOTO, ({ targetId }) => {
    const address = targets[targetId - 1];
    if (address === undefined) throw new RequestError(`there is no goto target ${targetId}`);
    session.evaluation.setRegister("rip", address);
    session.afterResponse(() => session.standAt("goto"));
    return undefined;
  });
  dispatcher.on(EXCEPTION_INFO, () => {
    const { stop, target } = session.stopped;
    const info = exceptionInfo(stop, target);
    if (info === undefined) throw new RequestError("the debuggee did not stop on an event");
    return info;
  });
}
