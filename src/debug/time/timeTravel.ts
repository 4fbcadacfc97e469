/**
 * Moves a session's debuggee through the history: in slices, with progress, and back to where it stood where the user
 * stops it on the way.
 */
import type { History, Work } from "../../machine/checkpoints/history";
import type { Position } from "../../machine/checkpoints/position";
import { RequestError } from "../dispatcher";
import type { Session } from "../session";

/** Milliseconds before a travel is shown, and between two reports of it. */
const UNNOTICED = 300;
const REPORT_TIME = 250;

/** Where a travel has come to; undefined where the user stopped it, and the debuggee stands where it stood. */
export type Travelled<T> = { readonly result: T } | undefined;

export class TimeTravel {
  private progressId = 0;

  constructor(private readonly session: Session) {}

  /** @throws RequestError where there are no checkpoints */
  get history(): History {
    const { history } = this.session.stopped;
    if (history === undefined) {
      throw new RequestError("there is no way back: the launch configuration's reverseMemory is 0");
    }
    return history;
  }

  /**
   * Does work that finds a moment, and goes there; where it finds none, back to where the debuggee stood.
   * @param title what is done, for the progress report
   * @param momentOf the moment to go to, by what was found
   */
  async go<T>(
    title: string,
    work: (history: History) => Work<T>,
    momentOf: (result: T) => Position | number | undefined,
  ): Promise<Travelled<T>> {
    const { history } = this;
    const { debuggee } = this.session;
    const origin = history.position;
    return debuggee.control.travel(async () => {
      const progress = this.progress(title);
      try {
        const whole = function* (): Work<{ readonly result: T }> {
          const result = yield* work(history);
          yield* history.travel(momentOf(result) ?? origin);
          return { result };
        };
        const travelled = await debuggee.control.workOff(whole(), true, progress.tell);
        if (travelled !== undefined) return travelled;
        await debuggee.control.workOff(history.travel(origin), false, () => {});
        return undefined;
      } finally {
        debuggee.want(this.session.filters.kinds);
        this.session.dataBreakpoints.resolve();
        debuggee.moved();
        progress.end();
      }
    });
  }

  /** Tells the client how far a travel has come, if it takes long. */
  private progress(title: string) {
    const { host, client } = this.session;
    const progressId = `travel-${++this.progressId}`;
    const began = host.now();
    let told = began;
    let shown = false;
    return {
      tell: ({ done, total }: { done: number; total: number }) => {
        const now = host.now();
        if (!client.supportsProgressReporting || now - began < UNNOTICED || now - told < REPORT_TIME) return;
        told = now;
        const percentage = total <= 0 ? 0 : Math.max(0, Math.min(100, Math.round((100 * done) / total)));
        const message = `${done.toLocaleString("en")} instructions`;
        if (shown) host.send("progressUpdate", { progressId, message, percentage });
        else host.send("progressStart", { progressId, title, cancellable: true, message, percentage });
        shown = true;
      },
      end: () => {
        if (shown) host.send("progressEnd", { progressId });
      },
    };
  }
}
