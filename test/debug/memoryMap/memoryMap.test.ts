import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { MemoryMap } from "../../../src/debug/memoryMap/memoryMap";
import { type MemoryMapAnswer, OWNER_LANES, OWNERS } from "../../../src/debug/protocol/memoryMap";
import type { MachineEvent } from "../../../src/machine/events";
import { type LaunchRequest, launch } from "../../../src/target/launch";
import type { Target } from "../../../src/target/target";

const GUESTS = new URL("../../../guests/", import.meta.url);

async function boot(request: Partial<LaunchRequest> = {}): Promise<Target> {
  return launch(
    { program: "early-fault", settings: new Map(), entry: "auto", tlb: "max", ...request },
    { readFile: (path) => readFile(path), readGuest: (path) => readFile(new URL(path, GUESTS)) },
  );
}

/** Runs to the next event of a kind. */
function runTo({ machine }: Target, kind: MachineEvent["event"]): void {
  machine.onEvent = (event) => event.event === kind;
  expect(machine.run(50_000_000).reason).toBe("event");
}

/** What a session does between two stops. */
function next(map: MemoryMap, target: Target, kind: MachineEvent["event"]): MemoryMapAnswer {
  map.onResume();
  runTo(target, kind);
  return map.answer();
}

const ownersNamed = ({ owners }: MemoryMapAnswer, label: string) =>
  owners.filter((owner) => owner.label === label);
const reached = ({ pools }: MemoryMapAnswer) =>
  pools[0].slots.flatMap(({ state }, slot) => (state === "reached" ? [slot] : []));

describe("the memory map of early-fault", () => {
  let target: Target;
  let map: MemoryMap;
  const at: Record<string, MemoryMapAnswer> = {};

  beforeAll(async () => {
    target = await boot();
    map = new MemoryMap(target);
    at.entry = map.answer();
    at.firstFault = next(map, target, "page-fault");
    at.secondFault = next(map, target, "page-fault");
    at.switchover = next(map, target, "switchover");
  });

  test("at the entry the loader's tables map memory one to one", () => {
    const { mode, mapped, owners, changes } = at.entry;
    expect(mode).toBe("4-level");
    expect(mapped.length).toBeGreaterThan(0);
    for (const { start, physical } of mapped) expect(start).toBe(physical);
    expect(changes).toEqual([]);
    expect(owners.filter(({ kind }) => kind === "table").map(({ level }) => level)).toContain(4);
  });

  test("the firmware's map, what the loader placed and the image's sections have owners", () => {
    const named = at.firstFault.owners.map(({ label, kind }) => `${kind} ${label}`);
    expect(named).toEqual(
      expect.arrayContaining([
        "ram usable RAM",
        "reserved reserved",
        "boot boot_params",
        "boot command line",
        "ramdisk ramdisk",
        "code .text",
        "data .data",
        "object boot_params",
        "stack stack",
        "table early_level4_pgt",
      ]),
    );
    expect(named.filter((name) => name.includes("kernel segment"))).toEqual([]);
  });

  test("owners of one lane do not overlap and ascend", () => {
    for (const answer of Object.values(at)) {
      for (const lane of OWNER_LANES) {
        const owners = answer.owners.filter(({ kind }) => OWNERS[kind].lane === lane);
        for (let i = 0; i < owners.length; i++) {
          expect(Number(owners[i].end)).toBeGreaterThan(Number(owners[i].start));
          if (i > 0) expect(Number(owners[i].start)).toBeGreaterThanOrEqual(Number(owners[i - 1].end));
        }
      }
    }
  });

  test("the pool tells what is reached, and what comes next", () => {
    const [pool] = at.firstFault.pools;
    const symbol = target.symbols.addressOf("early_dynamic_pgts")!;
    expect(Number(pool.start)).toBe(target.symbols.physicalOf(symbol));
    expect(pool).toMatchObject({ name: "early_dynamic_pgts", limit: 64 });
    expect(pool.slots).toHaveLength(64);
    const before = pool.next;
    expect(at.secondFault.pools[0].next).toBe(before + 2);
    expect(reached(at.secondFault)).toEqual(
      [...reached(at.firstFault), before, before + 1].sort((a, b) => a - b),
    );
    expect(at.secondFault.pools[0].slots.slice(before, before + 2)).toEqual([
      { state: "reached", level: 3, changed: true },
      { state: "reached", level: 2, changed: true },
    ]);
  });

  test("a fault that was handled added a GiB of the direct map, and changed the root", () => {
    const { changes, owners, pointers } = at.secondFault;
    expect(changes).toEqual([{ start: "0xffff880000000000", end: "0xffff880040000000", mark: "added" }]);
    expect(owners.filter(({ changed }) => changed).map(({ label }) => label)).toContain("early_level4_pgt");
    const cr2 = pointers.find(({ name }) => name === "CR2");
    expect(cr2?.physical).toBeUndefined();
    expect(BigInt(cr2!.linear)).toBeGreaterThanOrEqual(0xffff880040000000n);
  });

  test("registers lead where the tables do", () => {
    const rip = at.firstFault.pointers.find(({ name }) => name === "RIP")!;
    expect(Number(rip.physical)).toBe(target.symbols.physicalOf(BigInt(rip.linear)));
  });

  test("after the switchover the root is another, and the pool is reached no more", () => {
    expect(at.secondFault.rootName).toBe("early_level4_pgt");
    expect(at.switchover.rootName).toBe("init_level4_pgt");
    expect(reached(at.switchover)).toEqual([]);
    expect(ownersNamed(at.switchover, "early_level4_pgt")[0].kind).toBe("object");
    expect(ownersNamed(at.switchover, "init_level4_pgt")[0].kind).toBe("table");
  });

  test("a part that is asked for is what the whole has there", () => {
    for (const range of at.switchover.mapped.slice(0, 50)) {
      const { mapped, unexplored } = map.window(BigInt(range.start), BigInt(range.start) + 1n);
      expect(mapped[0]).toEqual(range);
      expect(unexplored).toEqual([]);
    }
  });
});

test("a part without an end goes to the top, and one that ends before it begins is empty", async () => {
  const map = new MemoryMap(await boot());
  const { mapped } = map.answer();
  expect(map.window(0n, 0n).mapped).toEqual(mapped);
  expect(map.window(0x2000n, 0x1000n)).toEqual({ mapped: [], unexplored: [] });
});

describe("changes", () => {
  test("a reset clears the dynamic mappings", async () => {
    const target = await boot({
      memory: 32 * 2 ** 30,
      settings: new Map([
        ["pool", "4"],
        ["ramdisk", "20G"],
      ]),
    });
    const map = new MemoryMap(target);
    runTo(target, "page-fault");
    runTo(target, "page-fault");
    map.answer();
    const { changes, pools } = next(map, target, "reset");
    expect(changes.map(({ mark }) => mark)).toContain("cleared");
    expect(changes.every(({ start }) => BigInt(start) >> 32n === 0xffff8800n)).toBe(true);
    expect(pools[0].limit).toBe(4);
    expect(pools[0].slots.slice(4).every(({ state }) => state === "beyond")).toBe(true);
  });

  test("are not told where nobody looked at the stop before", async () => {
    const target = await boot();
    const map = new MemoryMap(target);
    map.onResume();
    runTo(target, "page-fault");
    expect(map.answer().changes).toEqual([]);
    expect(next(map, target, "page-fault").changes).not.toEqual([]);
  });
});

describe("the memory map of a domain", () => {
  let target: Target;
  let map: MemoryMap;

  beforeAll(async () => {
    target = await boot({ program: "xen-p2m", memory: 64 * 2 ** 20 });
    map = new MemoryMap(target);
    runTo(target, "base-pointer");
  });

  test("counts memory as the domain does: what follows itself there is one range", () => {
    const answer = map.answer();
    expect(answer.space).toBe("domain");
    const kernel = answer.mapped.find(({ start }) => start === "0xffffffff80000000");
    expect(kernel).toMatchObject({ physical: "0x0", pageSize: "4K" });
    expect(kernel!.pages).toBeGreaterThan(200);
    expect(kernel!.machine).not.toBe("0x0");
    expect(answer.owners.map(({ label }) => label)).toEqual(
      expect.arrayContaining([".text", "start_info", "P->M list with its tables", "usable RAM"]),
    );
  });

  test("types and pins of tables are told, with where they are in the machine", () => {
    const root = ownersNamed(map.answer(), "init_level4_pgt").find(({ kind }) => kind === "table");
    expect(root?.use).toMatch(/^in use as an L4 table \(count 2, pinned\)$/);
    expect(Number(root!.machine)).toBe(target.pagingState.root);
    expect(root!.machine).not.toBe(root!.start);
  });

  test("in machine addresses the hypervisor has its own, and tables lie scattered", () => {
    const answer = map.answer("machine");
    expect(answer.space).toBe("machine");
    expect(answer.owners.map(({ label }) => label)).toEqual(
      expect.arrayContaining(["hypervisor", "the domain's machine frames", "M2P table", "init_level4_pgt"]),
    );
    const root = ownersNamed(answer, "init_level4_pgt")[0];
    expect(Number(root.start)).toBe(target.pagingState.root);
    expect(answer.mapped.some(({ start }) => start === "0xffff800000000000")).toBe(true);
  });
});
