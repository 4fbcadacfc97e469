/** What the views ask: page tables, memory map, events, walks, hovers, watched entries. */
import { entrySize } from "../../paging/layout";
import { MODE_NAMES } from "../../paging/ranges";
import { RequestError } from "../dispatcher";
import { hover } from "../hover/hover";
import { decoded } from "../hover/numbers";
import { memoryPage } from "../pageTables/memoryPage";
import { nameOfTable } from "../pageTables/names";
import type { WatchedRange } from "../pageTables/rows";
import { walkAnswer } from "../pageTables/walk";
import type { CheckedOf } from "../protocol/declare";
import { EVENTS } from "../protocol/events";
import { HOVER } from "../protocol/hover";
import { MEMORY_MAP, MEMORY_MAP_WINDOW } from "../protocol/memoryMap";
import {
  MEMORY_PAGE,
  REVEAL,
  type RevealAnswer,
  STATE,
  TABLES,
  UNWATCH,
  WATCH,
  WATCHES,
} from "../protocol/tables";
import { toHex } from "../protocol/values";
import { DECODE, WALK } from "../protocol/walk";
import type { Session } from "../session";

/** Registers the handlers. Each asks for the present parts: a restart makes new ones. */
export function registerViewRequests(session: Session): void {
  const { dispatcher, dataBreakpoints } = session;
  const watched = (): WatchedRange[] =>
    dataBreakpoints.watches().flatMap(({ watched: { space, address, length } }) => {
      return space === "physical" ? [{ physical: Number(address), length }] : [];
    });
  dispatcher.on(STATE, () => {
    const { target, control } = session.debuggee;
    const { pagingState: state, machine } = target;
    const counts = session.parts.pageTables.counts();
    return {
      running: control.isRunning,
      instructions: machine.instructions,
      mode: MODE_NAMES[state.levels],
      root: toHex(state.root),
      rootName: nameOfTable(target, state.root),
      tables: counts.tables,
      moreTables: counts.more,
    };
  });
  dispatcher.on(TABLES, (query) => session.parts.pageTables.rows(query, watched()));
  dispatcher.on(REVEAL, (place) => reveal(session, place, watched()));
  dispatcher.on(WATCH, ({ physical, length, label }) => {
    dataBreakpoints.watch({ space: "physical", address: BigInt(physical), length }, label);
    return undefined;
  });
  dispatcher.on(UNWATCH, ({ physical, length }) => {
    const end = BigInt(physical + length);
    for (const { watched } of dataBreakpoints.watches()) {
      const overlaps = watched.address < end && BigInt(physical) < watched.address + BigInt(watched.length);
      if (watched.space === "physical" && overlaps) dataBreakpoints.unwatch(watched);
    }
    return undefined;
  });
  dispatcher.on(WATCHES, () => ({
    watches: dataBreakpoints.watches().map(({ watched, label }) => ({
      physical: toHex(watched.address),
      length: watched.length,
      label,
    })),
  }));
  dispatcher.on(WALK, ({ expression, frameId, access }) =>
    walkAnswer(session.stopped.target, session.evaluation.number(expression, frameId), access),
  );
  dispatcher.on(DECODE, ({ value, level }) => ({
    entries: decoded(value, level, session.debuggee.target),
  }));
  dispatcher.on(HOVER, ({ text, frameId }) => {
    const { pageTables } = session.parts;
    const markdown = hover(text, session.stopped, session.evaluation, pageTables, frameId);
    return markdown === undefined ? null : { markdown };
  });
  dispatcher.on(MEMORY_PAGE, ({ physical }) =>
    memoryPage(session.debuggee.target, session.parts.pageTables, physical),
  );
  dispatcher.on(MEMORY_MAP, ({ space }) => session.parts.memoryMap.answer(space));
  dispatcher.on(MEMORY_MAP_WINDOW, ({ start, end }) => session.parts.memoryMap.window(start, end));
  dispatcher.on(EVENTS, (query) => session.parts.eventLog.rows(query, session.debuggee.sources));
}

/** What lies in a table leads to the table or to its entry; any other expression is a linear address. */
function reveal(
  session: Session,
  { address, symbol, entry, table, filter }: CheckedOf<typeof REVEAL>,
  watched: readonly WatchedRange[],
): RevealAnswer {
  const { pageTables } = session.parts;
  if (address !== undefined) return pageTables.reveal(address, filter, watched);
  if (entry !== undefined) return pageTables.revealPhysical(entry, "entry", filter, watched);
  if (table !== undefined) return pageTables.revealPhysical(table, "table", filter, watched);
  if (symbol === undefined) throw new RequestError("there is no place to go to");
  const place = tablePlaceOf(session, symbol);
  return place === undefined
    ? pageTables.reveal(session.evaluation.number(symbol), filter, watched)
    : pageTables.revealPhysical(place.physical, place.what, filter, watched);
}

/** `early_level4_pgt` is a table, `early_level4_pgt[511]` an entry; undefined for what is neither. */
function tablePlaceOf(
  session: Session,
  expression: string,
): { physical: number; what: "entry" | "table" } | undefined {
  const { target } = session.debuggee;
  const located = session.evaluation.locate(expression);
  if (located === undefined) return undefined;
  const physical = target.physicalOf(located.address) ?? target.symbols.physicalOf(located.address);
  const table = physical === undefined ? undefined : session.parts.pageTables.tableAt(physical);
  if (physical === undefined || table === undefined) return undefined;
  if (located.length === entrySize(target.pagingState.levels)) return { physical, what: "entry" };
  return physical === table.physical ? { physical, what: "table" } : undefined;
}
