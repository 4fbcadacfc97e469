/** Back to the first instruction of a frame's function, as it was entered. */
import type { History, Work } from "../../machine/checkpoints/history";
import type { Debuggee } from "../debuggee";
import { RequestError } from "../dispatcher";
import type { Frame } from "../stack/stack";
import { type Moment, WalkBack } from "./walkBack";

/** Whether it is known how a frame's function was entered. */
export function canRestart({ scope, frameAddress }: Frame): boolean {
  return scope !== undefined && !scope.inlined && frameAddress !== undefined;
}

/**
 * What finds the moment.
 * @throws RequestError where a frame cannot be gone back to the beginning of
 */
export function restartMoment(
  debuggee: Debuggee,
  frame: Frame,
): (history: History) => Work<Moment | undefined> {
  const { scope, frameAddress, rip, lookup } = frame;
  if (!canRestart(frame) || scope === undefined || frameAddress === undefined) {
    throw new RequestError("it is not known where this frame began");
  }
  const size = debuggee.target.machine.cpu.code64 ? 8n : 4n;
  // From linked addresses to those that RIP has.
  const address =
    scope.low + (frame.interrupted || lookup === undefined ? rip - (lookup ?? rip) : rip - 1n - lookup);
  return function* (history) {
    const walk = new WalkBack(debuggee, history, "instruction");
    if (debuggee.place.rip === address && debuggee.place.stackPointer === frameAddress - size)
      return { position: history.position, seen: walk.see() };
    return yield* walk.lastAt(
      [address],
      history.position,
      ({ stackPointer }) => stackPointer === frameAddress - size,
    );
  };
}
