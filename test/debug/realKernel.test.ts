/** Debian's kernel under the debugger: what is asked for is answered in slices, and sources are told of. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { afterEach, describe, expect, test } from "vitest";
import { DapClient } from "../support/dapClient";
import { skipReason, vmlinuxOf } from "../support/linux/kernels";

const file = vmlinuxOf("amd64");
let client: DapClient | undefined;
afterEach(() => client?.end());

describe.skipIf(file === undefined)("Debian's kernel amd64", () => {
  test(file === undefined
    ? skipReason("amd64")
    : "stops in early code, with frames, variables, types and lines", async () => {
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
    expect(content).toContain(
      '"sourceFileMap": { "debian/build/build_amd64_none_amd64": "/path/to/the/sources" }',
    );
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
  }, 120_000);

  test(file === undefined
    ? skipReason("amd64")
    : "takes breakpoints in the user's copy of the sources", async () => {
    client = new DapClient();
    await client.start({
      program: file,
      memory: "1G",
      cpu: "qemu64",
      sourceFileMap: { "debian/build/build_amd64_none_amd64": "/src/linux" },
    });
    const { breakpoints } = await client.ask<{ breakpoints: DebugProtocol.Breakpoint[] }>("setBreakpoints", {
      source: { path: "/src/linux/arch/x86/kernel/head64.c" },
      breakpoints: [{ line: 100 }],
    });
    expect(breakpoints[0].verified).toBe(true);
    expect(breakpoints[0].line).toBeGreaterThanOrEqual(100);
  }, 120_000);
});
