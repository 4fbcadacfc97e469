/** Debian's kernel under the debugger: what is asked for is answered in slices, and sources are told of. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { afterEach, describe, expect, test } from "vitest";
import { DapClient } from "../support/dapClient";
import { FLAVOURS, skipReason, vmlinuxOf, vmlinuzOf } from "../support/linux/kernels";

let client: DapClient | undefined;
afterEach(() => client?.end());

describe.each(FLAVOURS)("Debian's kernel %s", (flavour) => {
  const file = vmlinuxOf(flavour);
  const title = (text: string) => (file === undefined ? skipReason(flavour) : text);
  const built = `debian/build/build_amd64_none_${flavour}`;

  test.skipIf(file === undefined)(
    title("stops in early code, with frames, variables, types and lines"),
    async () => {
      client = new DapClient();
      await client.start({ program: file, memory: "1G", cpu: "qemu64" });
      await client.ask("setFunctionBreakpoints", { breakpoints: [{ name: "x86_64_start_kernel" }] });
      expect(await client.go("continue")).toMatchObject({ reason: "breakpoint" });
      const [frame] = await client.frames();
      expect(frame.name).toBe("x86_64_start_kernel");
      expect(frame.source?.name).toBe("x86_64_start_kernel.s");
      const { content } = await client.ask<{ content: string }>("source", {
        source: frame.source,
        sourceReference: frame.source?.sourceReference,
      });
      expect(content).toContain(`"sourceFileMap": { "${built}": "/path/to/the/sources" }`);
      expect(content.split("\n")[frame.line - 1].startsWith(`${frame.instructionPointerReference} `)).toBe(
        true,
      );
      const value = async (expression: string) =>
        (await client?.ask<{ result: string }>("evaluate", { expression, frameId: frame.id }))?.result;
      expect(await value("sizeof(struct page)")).toBe("64");
      expect(await value("sizeof(pgd_t)")).toBe("8");
      expect(await value("&init_top_pgt")).toContain("0xffffffff82a10000");
      const tables = await client.ask<{ breakpoints: DebugProtocol.Breakpoint[] }>("setBreakpoints", {
        source: { path: "/src/arch/x86/kernel/head64.c" },
        breakpoints: [{ line: 300 }],
      });
      expect(tables.breakpoints[0].verified).toBe(false);
    },
    120_000,
  );

  test.skipIf(file === undefined)(
    title("takes breakpoints in the user's copy of the sources"),
    async () => {
      client = new DapClient();
      await client.start({
        program: file,
        memory: "1G",
        cpu: "qemu64",
        sourceFileMap: { [built]: "/src/linux" },
      });
      const { breakpoints } = await client.ask<{ breakpoints: DebugProtocol.Breakpoint[] }>(
        "setBreakpoints",
        {
          source: { path: "/src/linux/arch/x86/kernel/head64.c" },
          breakpoints: [{ line: 100 }],
        },
      );
      expect(breakpoints[0].verified).toBe(true);
      expect(breakpoints[0].line).toBeGreaterThanOrEqual(100);
    },
    120_000,
  );
});

/** Its payload is LZ4, which takes 100 million instructions; the other one's takes billions. */
const packed = vmlinuzOf("cloud-amd64");

test.skipIf(packed === undefined)(
  packed === undefined
    ? skipReason("cloud-amd64")
    : "a kernel that is not decompressed yet takes breakpoints behind prologues, and goes back into its decompressor",
  async () => {
    client = new DapClient();
    const symbols = vmlinuxOf("cloud-amd64");
    const entry = "linux32-compressed";
    await client.start({ program: packed, symbols, entry, cmdline: "nokaslr", memory: "1G" });
    await client.ask("setFunctionBreakpoints", { breakpoints: [{ name: "x86_64_start_kernel" }] });
    expect(await client.go("continue")).toMatchObject({ reason: "breakpoint" });
    expect((await client.frames())[0].name).toBe("x86_64_start_kernel");
    await client.ask("setExceptionBreakpoints", { filters: ["paging-mode"] });
    const texts: unknown[] = [];
    for (let i = 0; i < 5; i++) texts.push((await client.go("reverseContinue")).text);
    expect(texts.slice(3)).toEqual(["+PG: paging is now 5-level", "+LA57: paging is now off"]);
  },
  120_000,
);
