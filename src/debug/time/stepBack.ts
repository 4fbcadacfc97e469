/** A step backwards: to where a step over would have begun that ends here. */
import type { History, Work } from "../../machine/checkpoints/history";
import type { Position } from "../../machine/checkpoints/position";
import type { Debuggee } from "../debuggee";
import type { Granularity } from "../run/stepping";
import { type Moment, WalkBack } from "./walkBack";

/** Moments in one line before the walk goes on at full speed. */
const PATIENCE = 4000;
/** How far apart stack pointers in one frame are at most. */
const FRAME_SPAN = 4096n;

/**
 * The moment to go back to; undefined at the start of the history.
 *
 * By lines: the beginning of the line that stands here, if this is not it; else that of the line before, in this frame
 * or in the one that called it. Calls, handlers and loops within a line are whole.
 */
export function* stepBack(
  debuggee: Debuggee,
  history: History,
  granularity: Granularity,
): Work<Position | undefined> {
  const walk = new WalkBack(debuggee, history, granularity);
  const here: Moment = { position: history.position, seen: walk.see() };
  if (granularity === "instruction" || here.seen.line === undefined) {
    return (yield* new WalkBack(debuggee, history, "instruction").previousInFrame(here))?.position;
  }
  // The line whose beginning is looked for.
  let line = here.seen.begins ? undefined : here.seen.line;
  let beginning: Moment | undefined;
  let moment: Moment = here;
  for (let made = 0; ; made++) {
    if (made === PATIENCE) return (yield* otherStatement(walk, debuggee, history, moment))?.position;
    const before: Moment | undefined = yield* walk.previousInFrame(moment);
    if (before === undefined) return beginning?.position ?? (moment === here ? undefined : moment.position);
    moment = before;
    const { seen } = moment;
    if (seen.line === line && line !== undefined) {
      if (seen.begins) beginning = moment;
      continue;
    }
    if (beginning !== undefined) return beginning.position;
    // A loop within the line; or code without lines, which steps pass over.
    if (seen.line === undefined || (line === undefined && seen.line === here.seen.line)) continue;
    line = seen.line;
    if (seen.begins) beginning = moment;
  }
}

/** The last time that another statement of the function began, in this frame. */
function* otherStatement(
  walk: WalkBack,
  debuggee: Debuggee,
  history: History,
  { position, seen }: Moment,
): Work<Moment | undefined> {
  yield* history.travel(position);
  const addresses = debuggee.place.statements().map(({ address }) => address);
  return yield* walk.lastAt(addresses, position, ({ line, begins, stackPointer }) => {
    const away = stackPointer - seen.stackPointer;
    return begins && line !== seen.line && away < FRAME_SPAN && away > -FRAME_SPAN;
  });
}
