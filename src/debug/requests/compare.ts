/** Two moments of the page tables, compared. */
import { compareMoments } from "../compare/comparison";
import { ComparisonRows, rootText } from "../compare/rows";
import { RequestError } from "../dispatcher";
import { COMPARE, COMPARED, type CompareAnswer } from "../protocol/compare";
import type { Session } from "../session";
import { momentAt } from "../time/moments";

/** Registers the handlers. */
export function registerCompareRequests(session: Session): void {
  const { dispatcher, time } = session;
  let comparisons = 0;
  dispatcher.on(COMPARE, async ({ first, second }): Promise<CompareAnswer> => {
    const { debuggee, parts } = session;
    const { history } = time;
    const { position, start, end } = history;
    const moments = [first, second ?? position.instruction].sort((a, b) => a - b);
    for (const moment of moments) {
      if (moment >= start.instruction && moment <= end.instruction) continue;
      throw new RequestError(
        `instruction ${moment} cannot be compared: the run is known from ${start.instruction} to ${end.instruction}`,
      );
    }
    // At the present instruction the very moment is meant: it may wait for an exception's delivery.
    const [earlier, later] = moments.map((moment) => (moment === position.instruction ? position : moment));
    const { isLooking } = debuggee;
    const gone = await session.travelling(async () => {
      try {
        return await time.go(
          "Comparing two moments",
          () => compareMoments(debuggee, history, earlier, later),
          () => undefined,
        );
      } finally {
        debuggee.target.machine.dataBreakpoints.recorder = undefined;
      }
    });
    if (isLooking) debuggee.look();
    session.afterResponse(() => session.standAtMoment("Two moments were compared"));
    if (gone === undefined) return cancelled(moments);
    const { result } = gone;
    const rows = new ComparisonRows(++comparisons, debuggee, result);
    parts.comparison = rows;
    return {
      cancelled: false,
      id: rows.id,
      first: momentAt(debuggee, result.first.instruction, result.first.rip),
      second: momentAt(debuggee, result.second.instruction, result.second.rip),
      firstRoot: rootText(debuggee, result.first.state),
      secondRoot: rootText(debuggee, result.second.state),
      counts: result.counts,
      accessedOnly: result.accessedOnly,
      listed: rows.listed,
      remarks: result.remarks,
    };
  });
  dispatcher.on(COMPARED, (query) => {
    const { comparison } = session.parts;
    if (comparison?.id !== query.id)
      throw new RequestError("this comparison is no longer there: compare again");
    return comparison.page(query);
  });
}

function cancelled([first, second]: readonly number[]): CompareAnswer {
  const none = { rip: "0x0" };
  return {
    cancelled: true,
    id: 0,
    first: { instruction: first, ...none },
    second: { instruction: second, ...none },
    firstRoot: "",
    secondRoot: "",
    counts: { added: 0, changed: 0, cleared: 0, moved: 0 },
    accessedOnly: 0,
    listed: 0,
    remarks: ["The comparison was stopped."],
  };
}
