import { describe, expect, test } from "vitest";
import { expectGolden } from "./golden";
import { DEMAND, json, pagewalk } from "./testIo";

const demand = (...options: string[]) => pagewalk(["run", DEMAND, "--cmdline", "0", ...options]);
const CLEAR_LINE = "\r\x1b[K";
const mask = (text: string) => text.replace(DEMAND, "demand.elf");

describe("a kernel that maps on demand", () => {
  test("is told of in text", async () => {
    const { status, stdout, stderr } = await demand(
      "--print",
      "tables",
      "--print",
      "walk:0xffff880000800008",
    );
    expectGolden(__dirname, "run-demand", mask(stdout));
    expect([status, stderr]).toEqual([0, ""]);
  });

  test("is told of in JSON", async () => {
    const { stdout } = await demand("--json", "--print", "tables", "--print", "registers");
    expectGolden(__dirname, "run-demand-json", stdout);
  });

  test("faults twice, resets once, switches over, and exits", async () => {
    const lines = await json("run", DEMAND, "--cmdline", "0");
    const events = lines.filter((line) => line.event !== "cr3-load" && line.event !== "paging-mode");
    expect(events.map((line) => line.event ?? line.stopped)).toEqual([
      "reset",
      "page-fault",
      "page-fault",
      "switchover",
      "exit",
      "exit",
    ]);
    expect(events[0]).toMatchObject({
      rootSymbol: "early_root",
      cleared: 1,
      symbol: "drop_identity_map+0xe",
    });
    expect(events[3]).toMatchObject({ fromSymbol: "early_root", toSymbol: "final_root" });
  });

  test("is the same run whatever is printed of it", async () => {
    const ends = await Promise.all([
      json("run", DEMAND, "--cmdline", "0"),
      json("run", DEMAND, "--cmdline", "0", "--events", "all"),
      json("run", DEMAND, "--cmdline", "0", "--events", ""),
    ]);
    const { stdout } = await demand();
    const counts = ends.map((lines) => lines.at(-1)!.instructions);
    expect(new Set(counts).size).toBe(1);
    expect(stdout.replaceAll(",", "")).toContain(`${counts[0]} instructions`);
  });

  test("prints serial lines where they are asked for", async () => {
    expect((await demand("--events", "serial")).stdout).toContain("serial           | two pages mapped\n");
    expect((await demand()).stdout).not.toContain("two pages mapped");
  });
});

describe("the run stops", () => {
  const last = async (...options: string[]) =>
    (await json("run", DEMAND, "--cmdline", "0", ...options)).at(-1)!;
  const registers = async (...options: string[]) => {
    const lines = await json("run", DEMAND, "--cmdline", "0", "--print", "registers", ...options);
    return lines.find((line) => line.registers !== undefined)!.registers as Record<string, string>;
  };

  test("at the Nth event of a kind", async () => {
    const lines = await json("run", DEMAND, "--cmdline", "0", "--until", "page-fault:2");
    expect(lines.at(-2)).toMatchObject({ event: "page-fault", address: "0xffff880000800000" });
    expect(lines.at(-1)).toMatchObject({ stopped: "page-fault" });
  });

  test("at an event that is not printed", async () => {
    expect(await last("--events", "", "--until", "reset")).toMatchObject({ stopped: "reset" });
  });

  test("at the first instruction of a function", async () => {
    expect(await last("--until", "symbol:say")).toMatchObject({ stopped: "breakpoint" });
    const { rip } = await registers("--until", "symbol:say");
    expect((await demand("--until", "symbol:say")).stdout).toContain(`at ${rip} say\n`);
  });

  test("at the very first instruction, before anything was executed, at its identity-mapped place", async () => {
    expect(await last("--until", "symbol:startup_64")).toMatchObject({
      stopped: "breakpoint",
      instructions: 0,
    });
    expect((await registers("--until", "symbol:startup_64")).rip).toBe("0x1000000");
  });

  test("just after a function has returned", async () => {
    const at = await registers("--until", "symbol:make_idt");
    const after = await registers("--until", "return:make_idt");
    expect(BigInt(after.rsp)).toBe(BigInt(at.rsp) + 8n);
    expect((await demand("--until", "return:make_idt")).stdout).toMatch(/^Stopped: .* running\+0x5$/m);
  });

  test("at the limit of instructions, exactly, with status 3", async () => {
    const { status, stdout } = await demand("--max-instructions", "20", "--json");
    expect(status).toBe(3);
    expect(stdout).toContain('{"stopped":"limit","instructions":20,');
  });

  test("when the user interrupts it, at the end of a slice", async () => {
    let slices = 0;
    let time = 0;
    const world = { interrupted: () => ++slices === 3, now: () => (time += 10) };
    const { status, stdout } = await pagewalk(["run", DEMAND, "--cmdline", "e"], world);
    expect([status, stdout]).toEqual([130, expect.stringContaining("Stopped: interrupted at ")]);
  });
});

describe("the exit status", () => {
  test("is the guest's own", async () => {
    expect((await pagewalk(["run", DEMAND, "--cmdline", "7"])).status).toBe(7);
    expect((await pagewalk(["run", DEMAND, "--cmdline", "7", "--until", "page-fault:99"])).status).toBe(7);
  });

  test("is 0 where the run stopped as asked", async () => {
    expect((await pagewalk(["run", DEMAND, "--cmdline", "7", "--until", "switchover"])).status).toBe(0);
    expect((await pagewalk(["run", DEMAND, "--cmdline", "7", "--until", "return:say"])).status).toBe(0);
  });

  test("is 3 where the limit came first", async () => {
    expect((await pagewalk(["run", DEMAND, "--cmdline", "e", "--max-instructions", "1k"])).status).toBe(3);
  });

  test("is 4 after a fault that comes again for ever: without NX the handler's mapping is malformed", async () => {
    const { status, stdout, stderr } = await demand("--cpu", "max,-nx");
    expect(status).toBe(4);
    expect(stdout).toMatch(
      /has reserved bit 63 set \(XD, execute-disable, while EFER.NXE = 0\)\n *-> nothing is mapped there\n *repeated [\d,]+ times\n/,
    );
    expect(stderr).toMatch(/^pagewalk: this page fault came 1000 times in a row[^\n]*\n$/);
  });

  test("is 4 after a triple fault: AMD's far jump takes 32 bits of the offset only", async () => {
    const { status, stdout } = await pagewalk([
      "run",
      "early-fault",
      "--set",
      "revision=prototype",
      "--cpu",
      "amd",
    ]);
    expect([status, stdout]).toEqual([4, expect.stringContaining("Stopped: triple-fault")]);
  });
});

describe("what cannot be done gets one sentence and status 2", () => {
  test.each([
    [
      ["run", "/nowhere/at-all"],
      /^pagewalk: there is neither a bundled program nor a file "\/nowhere\/at-all"; bundled: early-fault/,
    ],
    [["run", "/"], /^pagewalk: \/ cannot be read: it is a directory\n$/],
    [["run", new URL(import.meta.url).pathname], /^pagewalk: the file is not an ELF image/],
    [["run", DEMAND, "--until", "symbol:nowhere"], /^pagewalk: the image has no symbol "nowhere"\n$/],
    [
      ["run", DEMAND, "--print", "walk:nowhere"],
      /^pagewalk: --print walk: the image has no symbol "nowhere"\n$/,
    ],
    [
      ["run", DEMAND, "--set", "pool=4"],
      /^pagewalk: the setting pool cannot be used: settings belong to bundled programs, and .* is a file\n$/,
    ],
    [["run", DEMAND, "--cpu", "pentium"], /^pagewalk: .*pentium/],
    [
      ["run", DEMAND, "--initrd", "/nowhere"],
      /^pagewalk: \/nowhere cannot be read: there is no such file\n$/,
    ],
    [["run", DEMAND, "--memory", "1M"], /^pagewalk: /],
    [["run", "early-fault", "--set", "nope=1"], /^pagewalk: early-fault has no setting "nope"; it has /],
    [["bogus"], /^pagewalk: there is no command "bogus"/],
  ])("%j", async (argv, message) => {
    const { status, stdout, stderr } = await pagewalk(argv);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd()).not.toContain("\n");
    expect([status, stdout]).toEqual([2, ""]);
  });
});

describe("the rest of the command line", () => {
  test("version, help and list", async () => {
    expect(await pagewalk(["--version"])).toEqual({ status: 0, stdout: "pagewalk 1.2.3\n", stderr: "" });
    expect((await pagewalk(["help"])).stdout).toContain("--max-instructions");
    expect((await pagewalk(["list"])).stdout).toMatch(/early-fault: .*\n(.*\n)*.*revision/);
    const listed = JSON.parse((await pagewalk(["list", "--json"])).stdout.split("\n")[0]);
    expect(listed).toMatchObject({ program: "early-fault", settings: expect.any(Array) });
  });

  test("an internal error is one line; its stack is for who asks", async () => {
    const broken = { readFile: () => Promise.resolve(undefined as unknown as Uint8Array) };
    const plain = await pagewalk(["run", "x"], broken);
    expect(plain.status).toBe(70);
    expect(plain.stderr).toMatch(/^pagewalk: internal error: [^\n]*\n$/);
    expect((await pagewalk(["run", "x"], { ...broken, debug: true })).stderr).toMatch(/\n {4}at /);
  });

  test("a progress line is shown on a terminal, and gone at the end", async () => {
    let time = 0;
    const world = { stderrIsTerminal: true, now: () => (time += 300) };
    const { stderr } = await pagewalk(["run", DEMAND, "--cmdline", "0", "--until", "symbol:say"], world);
    expect(stderr.startsWith(CLEAR_LINE)).toBe(true);
    expect(stderr.slice(CLEAR_LINE.length)).toMatch(
      /^[\d,]+ instructions, [\d.,]+( M)?\/s, last event [a-z0-9-]+/,
    );
    expect(stderr.endsWith(CLEAR_LINE)).toBe(true);
  });

  test("nothing is printed to whom does not read any more", async () => {
    const { status } = await pagewalk(["run", DEMAND, "--cmdline", "0"], { outputClosed: () => true });
    expect(status).toBe(141);
  });
});
