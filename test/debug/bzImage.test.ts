import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { kernel } from "../boot/images";
import { writeBzImage } from "../support/bzImageWriter";
import { DapClient } from "../support/dapClient";

const folder = mkdtempSync(join(tmpdir(), "pagewalk-"));
const program = join(folder, "vmlinuz");

let client: DapClient;
beforeAll(() => writeFileSync(program, writeBzImage({ payload: gzipSync(kernel()) })));
afterEach(() => client.end());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ["auto", "0x1000000"],
  ["linux64-compressed", "0x1000200"],
  ["linux32-compressed", "0x100000"],
])("a bzImage is launched like any program, by the entry %s", async (entry, rip) => {
  client = new DapClient();
  expect((await client.start({ program, entry })).reason).toBe("entry");
  const [frame] = await client.frames();
  expect(frame.instructionPointerReference).toBe(rip);
});
