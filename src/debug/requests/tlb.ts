/** The TLB view: its rows, and the search for the next use of a stale entry. */
import { FIND_STALE_USE, TLB } from "../protocol/tlb";
import type { Session } from "../session";

/** Registers the handlers. */
export function registerTlbRequests(session: Session): void {
  const { dispatcher } = session;
  dispatcher.on(TLB, ({ at, ...query }) => {
    void session.stopped;
    const address = at === undefined ? undefined : session.evaluation.number(at);
    return session.parts.tlb.rows({ ...query, address });
  });
  dispatcher.on(FIND_STALE_USE, () => {
    void session.stopped;
    session.afterResponse(() => session.findStaleUse());
    return undefined;
  });
}
