/** What the views ask: page tables, memory map, events, walks, hovers, watched entries. */
import { decodeEntry, describeEntry } from "../../paging/entry";
import { explainWalk } from "../../paging/explain";
import { MODE_NAMES } from "../../paging/ranges";
import type { Target } from "../../target/target";
import { hex64 } from "../../target/values";
import { RequestError } from "../dispatcher";
import { hover } from "../hover/hover";
import { nameOfTable, placeText } from "../pageTables/names";
import type { PageTables } from "../pageTables/pageTables";
import { EVENTS } from "../protocol/events";
import { MEMORY_MAP } from "../protocol/memoryMap";
import { HOVER, MEMORY_PAGE, REVEAL, STATE, TABLES, UNWATCH, WALK, WATCH } from "../protocol/tables";
import { toHex } from "../protocol/values";
import type { Session } from "../session";

/** Registers the handlers. Each asks for the present parts: a restart makes new ones. */
export function registerViewRequests(session: Session): void {
  const { dispatcher, dataBreakpoints } = session;
  const watched = () =>
    new Set(
      dataBreakpoints
        .watches()
        .flatMap(({ watched: { space, address } }) => (space === "physical" ? [Number(address)] : [])),
    );
  dispatcher.on(STATE, () => {
    const { target, control } = session.debuggee;
    const { pagingState: state, machine } = target;
    return {
      running: control.isRunning,
      instructions: machine.instructions,
      mode: MODE_NAMES[state.levels],
      root: toHex(state.root),
      rootName: nameOfTable(target, state.root),
    };
  });
  dispatcher.on(TABLES, (query) => session.parts.pageTables.rows(query, watched()));
  dispatcher.on(REVEAL, ({ address, symbol, filter }) => {
    const { pageTables } = session.parts;
    const wanted = address ?? addressOf(session, pageTables, symbol ?? "");
    return { rows: pageTables.reveal(wanted, filter, watched()) };
  });
  dispatcher.on(WATCH, ({ physical, length, label }) => {
    dataBreakpoints.watch({ space: "physical", address: BigInt(physical), length }, label);
    return undefined;
  });
  dispatcher.on(UNWATCH, ({ physical, length }) => {
    dataBreakpoints.unwatch({ space: "physical", address: BigInt(physical), length });
    return undefined;
  });
  dispatcher.on(WALK, ({ expression }) => {
    const { target } = session.stopped;
    const address = session.evaluation.number(expression);
    if (target.pagingState.levels === 0) {
      return {
        steps: [],
        outcome: `Paging is off: ${hex64(address)} is the physical address`,
        physical: toHex(address),
      };
    }
    const walk = explainWalk(target.pagingState, target.memory, address, 0, (physical) =>
      target.places.physical(physical),
    );
    return {
      steps: walk.steps.map(({ name, index, table, entry, value, decoded }) => ({
        text: `${name} ${index} of ${placeText(target, table)}: ${hex64(value)}, ${describeEntry(decoded, (physical) => placeText(target, physical))}`,
        entry: toHex(entry),
      })),
      outcome: walk.outcome,
      ...(walk.physical === undefined ? {} : { physical: toHex(walk.physical) }),
    };
  });
  dispatcher.on(HOVER, ({ text, frameId }) => {
    const { pageTables } = session.parts;
    const markdown = hover(text, session.stopped, session.evaluation, pageTables, frameId);
    return markdown === undefined ? null : { markdown };
  });
  dispatcher.on(MEMORY_PAGE, ({ physical }) =>
    memoryPage(session.debuggee.target, session.parts.pageTables, physical),
  );
  dispatcher.on(MEMORY_MAP, () => session.parts.memoryMap.answer());
  dispatcher.on(EVENTS, ({ count }) => session.parts.eventLog.rows(count, session.debuggee.sources));
}

/** A table by its name leads to where it is reached; anything else is an expression for an address. */
function addressOf(session: Session, tables: PageTables, text: string): bigint {
  const { symbols } = session.debuggee.target;
  const symbol = symbols.addressOf(text);
  const physical = symbol === undefined ? undefined : symbols.physicalOf(symbol);
  const reached = physical === undefined ? undefined : tables.addressOfTable(physical);
  if (reached !== undefined) return reached;
  return session.evaluation.number(text);
}

/** A page as words of eight bytes, each with its entry where the page serves as a table. */
function memoryPage(target: Target, tables: PageTables, address: number): { title: string; text: string } {
  const page = address - (address % 4096);
  if (!target.memory.isRam(page)) throw new RequestError(`there is no RAM at ${toHex(address)}`);
  const { pagingState, memory } = target;
  const [level] = tables.levelsOf(page);
  const size = level !== undefined && pagingState.levels === 2 ? 4 : 8;
  const lines: string[] = [];
  for (let offset = 0; offset < 4096; offset += size) {
    const value = size === 8 ? memory.read64(page + offset) : BigInt(memory.read32(page + offset) >>> 0);
    const digits = value.toString(16).padStart(2 * size, "0");
    const ascii = [...memory.readBytes(page + offset, size)]
      .map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "."))
      .join("");
    const meaning =
      level === undefined
        ? ""
        : `  [${String(offset / size).padStart(3)}] ${value === 0n ? "" : describeEntry(decodeEntry(value, level, pagingState), (physical) => placeText(target, physical))}`;
    lines.push(`${toHex(page + offset)}: 0x${digits}  ${ascii}${meaning}`.trimEnd());
  }
  const name = nameOfTable(target, page);
  const what = level === undefined ? "" : ` · table of level ${level}`;
  const title = `${name === undefined ? "" : `${name} · `}physical ${toHex(page)}${what}`;
  return { title, text: `${title}\n\n${lines.join("\n")}\n` };
}
