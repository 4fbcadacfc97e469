/** The client against a stub that answers from a table. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { GdbRemote } from "./gdbRemote";

const MAIN = `l<target><!-- <reg name="rip" bitsize="16"/> --><xi:include href="core.xml"/></target>`;
const CORE = `l<feature><reg name="rax" bitsize="64" type="int64"/><reg name="wide" bitsize="80"/>
<reg name="eflags" bitsize="32"/><reg name="rip" bitsize="64"/></feature>`;

let folder: string;
let server: Server;
let requests: string[];
let answers: Record<string, string | string[]>;
let remote: GdbRemote | undefined;

const packet = (text: string) => {
  const sum = [...Buffer.from(text, "latin1")].reduce((total, byte) => (total + byte) & 0xff, 0);
  return Buffer.from(`+$${text}#${sum.toString(16).padStart(2, "0")}`, "latin1");
};

/** Answers requests; in single bytes, so that nothing relies on packets coming in one piece. */
function serve(socket: Socket): void {
  let text = "";
  socket.on("data", (data) => {
    text += data.toString("latin1");
    for (let match = /\$([^#]*)#(..)/.exec(text); match !== null; match = /\$([^#]*)#(..)/.exec(text)) {
      text = text.slice(match.index + match[0].length);
      expect(packet(match[1]).toString("latin1").slice(-2)).toBe(match[2]);
      requests.push(match[1]);
      const given = answers[match[1]] ?? "";
      const answer = Array.isArray(given) ? given.shift()! : given;
      for (const byte of packet(answer)) socket.write(Buffer.of(byte));
    }
  });
  socket.on("error", () => {});
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pagewalk-gdb-"));
  requests = [];
  answers = {
    "qSupported:hwbreak+;swbreak+;qXfer:features:read+": "PacketSize=1000",
    "qXfer:features:read:target.xml:0,800": MAIN,
    "qXfer:features:read:core.xml:0,800": CORE,
    "Qqemu.PhyMemMode:1": "OK",
    "Qqemu.PhyMemMode:0": "OK",
    s: "T05thread:01;",
    c: "T05thread:01;",
  };
  server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(join(folder, "gdb"), resolve));
  remote = await GdbRemote.connect(join(folder, "gdb"));
});

afterEach(() => {
  remote?.close();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

test("registers are found by the target description, wherever it puts them", async () => {
  // `0*"` is a zero and 34 - 29 = 5 more.
  answers.g = `8877665544332211${"00".repeat(10)}460*"0102030405060708`;
  const registers = await remote!.registers();
  expect(registers.rax).toBe(0x1122334455667788n);
  expect(registers.eflags).toBe(0x46n);
  expect(registers.rip).toBe(0x0807060504030201n);
  expect(Object.keys(registers)).toEqual(["rax", "eflags", "rip"]);
});

test("memory comes in pieces, and the kind of address is chosen only when it changes", async () => {
  answers["m1000,400"] = "aa".repeat(1024);
  answers["m1400,2"] = "bbcc";
  const bytes = await remote!.readPhysical(0x1000, 1026);
  expect([...bytes.subarray(1023)]).toEqual([0xaa, 0xbb, 0xcc]);
  await remote!.readPhysical(0x1400, 2);
  answers["mffffffff81000000,1"] = "90";
  expect([...(await remote!.readLinear(0xffffffff81000000n, 1))]).toEqual([0x90]);
  expect(requests.filter((request) => request.startsWith("Q"))).toEqual([
    "Qqemu.PhyMemMode:1",
    "Qqemu.PhyMemMode:0",
  ]);
});

test("a step that changed nothing is taken again, and a target that stands still is told of", async () => {
  answers.g = ["00", "00", "01"];
  await remote!.advance();
  expect(requests.filter((request) => request === "s")).toHaveLength(2);
  answers.g = "01";
  await expect(remote!.advance()).rejects.toThrow("stands still");
});

test("what the stub refuses, and its end, are errors that name the request", async () => {
  answers["m0,1"] = "E14";
  await expect(remote!.readLinear(0n, 1)).rejects.toThrow("memory at 0x0 cannot be read");
  await expect(remote!.setBreakpoint(0x10n)).rejects.toThrow('Z1,10,1 was answered by ""');
  answers.s = "W00";
  await expect(remote!.step()).rejects.toThrow("the target ended: W00");
  server.close();
  remote!.close();
  await expect(remote!.step()).rejects.toThrow("closed");
});
