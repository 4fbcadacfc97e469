/** Where every near and far transfer ends. */
import type { Cpu } from "../cpu";
import { CS, R_RIP } from "../registers";

/** Jumps to an offset of the code segment, checked as the mode demands: canonical, or within the limit. */
export function jumpTo(c: Cpu, low: number, high: number): void {
  const { r } = c;
  if (c.code64) {
    const bits = c.paging.levels === 5 ? 24 : 15;
    const top = high >> bits;
    if (top !== 0 && top !== -1) throw c.gp("a jump to an address that is not canonical");
    r[R_RIP] = low;
    r[R_RIP + 1] = high;
    return;
  }
  if (low >>> 0 > c.limits[CS]) throw c.gp("a jump beyond the limit of CS");
  r[R_RIP] = low;
  r[R_RIP + 1] = 0;
}
