import { describe, expect, test } from "vitest";
import { withWindow } from "../../webview/exploring";
import type { MapData, WindowData } from "../../webview/messages";
import { modelOf } from "../../webview/model";

const run = (first: number, last: number, pages = last - first) => ({
  start: `0x${first.toString(16)}000`,
  end: `0x${last.toString(16)}000`,
  physical: `0x${(first + 0x100).toString(16)}000`,
  pageSize: "4K",
  flags: ["RW"],
  pages,
});
const range = (first: number, last: number) => ({
  start: `0x${first.toString(16)}000`,
  end: last === 0 ? "0x0" : `0x${last.toString(16)}000`,
});
const map = (mapped: MapData["mapped"], unexplored: MapData["unexplored"]): MapData => ({
  mode: "4-level",
  root: "0x1000",
  instructions: 0,
  mapped,
  unexplored,
  owners: [],
  moreTables: false,
  changes: [],
  pools: [],
  pointers: [],
});
const window = (
  from: number,
  to: number,
  mapped: MapData["mapped"],
  unexplored: MapData["unexplored"] = [],
): WindowData => ({ type: "window", ...range(from, to), mapped, unexplored });

describe("a part that was asked for later", () => {
  test("takes the place of what was not looked into", () => {
    const { mapped, unexplored } = withWindow(
      map([run(1, 2)], [range(2, 9)]),
      window(2, 9, [run(3, 4)], [range(6, 9)]),
    );
    expect(mapped).toEqual([run(1, 2), run(3, 4)]);
    expect(unexplored).toEqual([range(6, 9)]);
  });

  test("in the middle leaves both sides, but for what its first and last range reach over", () => {
    const { mapped, unexplored } = withWindow(
      map([], [{ start: "0x0", end: "0x100000" }]),
      window(0x40, 0x80, [run(0x30, 0x50), run(0x70, 0x90)]),
    );
    expect(mapped).toEqual([run(0x30, 0x50), run(0x70, 0x90)]);
    expect(unexplored).toEqual([{ start: "0x0", end: "0x30000" }, range(0x90, 0x100)]);
  });

  test("that overlaps what is known makes one range of both", () => {
    const { mapped } = withWindow(
      map([run(0x40, 0x80)], [range(0, 0x40)]),
      window(0, 0x40, [{ ...run(0x20, 0x50), flags: ["RW", "A"] }]),
    );
    expect(mapped).toEqual([{ ...run(0x20, 0x80), flags: ["RW"] }]);
    expect(modelOf(map(mapped, [])).mapped[0].from).toBe(0x120000n);
  });

  test("may be empty, and may reach the top of the address space", () => {
    const top = { start: "0xfffffffffffff000", end: "0x0" };
    expect(
      withWindow(map([], [top]), { type: "window", ...top, mapped: [], unexplored: [] }).unexplored,
    ).toEqual([]);
  });
});
