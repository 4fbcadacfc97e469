/** The line on a terminal's stderr that tells how far a run is; gone when it ends. */
import { grouped } from "../target/values";

/** Milliseconds between two writes. */
const INTERVAL = 200;

export class Progress {
  private last = Number.NEGATIVE_INFINITY;
  private shown = false;

  /**
   * @param write to the terminal; undefined where there is none: then nothing is written
   * @param now milliseconds
   */
  constructor(
    private readonly write: ((text: string) => void) | undefined,
    private readonly now: () => number,
  ) {}

  /** Rewrites the line if it is time to. */
  update(instructions: number, seconds: number, lastEvent: string): void {
    const now = this.now();
    if (this.write === undefined || now - this.last < INTERVAL) return;
    this.last = now;
    this.shown = true;
    const event = lastEvent === "" ? "" : `, last event ${lastEvent}`;
    this.write(`\r\x1b[K${grouped(instructions)} instructions, ${rate(instructions, seconds)}${event}`);
  }

  /** Takes the line away, before something else is written or at the end. */
  clear(): void {
    if (this.shown) this.write?.("\r\x1b[K");
    this.shown = false;
  }
}

/** Instructions a second, in words. */
export function rate(instructions: number, seconds: number): string {
  const perSecond = seconds > 0 ? instructions / seconds : 0;
  return perSecond >= 1e6 ? `${(perSecond / 1e6).toFixed(1)} M/s` : `${grouped(Math.round(perSecond))}/s`;
}
