/** Debian's kernels as they are distributed: what is read of them agrees with the linker, the ABI and addr2line. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import type { FrameContext } from "../../src/symbols/debugInfo";
import { parseElf } from "../../src/symbols/elf";
import { Symbols } from "../../src/symbols/symbols";
import { typeName } from "../../src/symbols/types";
import { skipReason, vmlinuxOf } from "../support/linux/kernels";

const [RDI, RSI] = [5, 4];
const file = vmlinuxOf("amd64");
const title = (text: string) => (file === undefined ? skipReason("amd64") : text);

describe.skipIf(file === undefined)(
  "Debian's kernel amd64",
  () => {
    let symbols: Symbols;
    beforeAll(() => {
      symbols = Symbols.fromElf(parseElf(readFileSync(file ?? "")), { loadDelta: 0 });
    });
    const address = (name: string) => {
      const found = symbols.addressOf(name);
      if (found === undefined) throw new Error(`there is no ${name}`);
      return found;
    };

    test(title("names its root tables, by linear and by physical address"), () => {
      for (const name of ["early_top_pgt", "init_top_pgt", "level3_kernel_pgt", "early_dynamic_pgts"]) {
        expect(symbols.nameOf(address(name) + 8n)).toEqual({ name, offset: 8 });
        expect(symbols.nameOfPhysical(address(name) - 0xffffffff80000000n)).toEqual({ name, offset: 0 });
      }
      expect(symbols.nameOf(address("reset_early_page_tables"))?.name).toBe("reset_early_page_tables");
      expect(symbols.nameOf(address("x86_64_start_kernel"))?.offset).toBe(0);
    });

    test(title("has at the entry of a function its parameters where the psABI passes them"), () => {
      const parameters: Record<string, [string, string, number][]> = {
        x86_64_start_kernel: [["real_mode_data", "char *", RDI]],
        __startup_64: [
          ["physaddr", "long unsigned int", RDI],
          ["bp", "struct boot_params *", RSI],
        ],
        __early_make_pgtable: [
          ["address", "long unsigned int", RDI],
          ["pmd", "pmdval_t", RSI],
        ],
        do_early_exception: [
          ["regs", "struct pt_regs *", RDI],
          ["trapnr", "int", RSI],
        ],
      };
      for (const [name, wanted] of Object.entries(parameters)) {
        const pc = address(name);
        const [scope] = symbols.debug?.functionsAt(pc) ?? [];
        expect(scope.name).toBe(name);
        const frame: FrameContext = { pc, cfa: undefined, register: () => undefined, read: () => undefined };
        const found = (symbols.debug?.variablesAt(pc, scope) ?? [])
          .filter(({ kind }) => kind === "parameter")
          .map((variable) => [variable.name, typeName(variable.type), variable.locate(frame)]);
        expect(found).toEqual(
          wanted.map(([each, type, register]) => [each, type, { kind: "register", register }]),
        );
      }
    });

    test(title("gives globals types of the size that the linker gave them"), () => {
      const sizes: boolean[] = [];
      const names = ["init_task", "boot_cpu_data", "boot_params", "memblock", "e820_table_init"];
      for (const name of [...names, ...(symbols.debug?.globalNames("init_", 60) ?? [])]) {
        const size = Number(symbols.sizeOf(name) ?? 0n);
        const variable = symbols.debug?.global(name);
        if (size === 0 || variable?.locate(nowhere).kind !== "memory") continue;
        // A flexible array at the end has a length that the type does not know.
        expect([name, variable.type?.size]).toSatisfy(([, known]) => Number(known) <= size);
        sizes.push(variable.type?.size === size);
      }
      // It ends in an array whose length the type does not have.
      expect(symbols.debug?.global("init_mm")?.type?.size).toBeLessThan(Number(symbols.sizeOf("init_mm")));
      expect(symbols.debug?.type("struct page")?.size).toBe(64);
      expect(symbols.debug?.type("struct list_head")?.size).toBe(16);
      expect(symbols.debug?.type("pgd_t")?.size).toBe(8);
      expect(symbols.debug?.enumerator("PG_locked")).toBe(0n);
      expect(symbols.debug?.enumerator("no such enumerator")).toBeUndefined();
      expect(symbols.debug?.type("struct no_such_struct")).toBeUndefined();
    });

    test(title("has the lines that addr2line gives, and code at each of them"), () => {
      const functions = ["x86_64_start_kernel", "init_mem_mapping", "secondary_startup_64", "memcpy"];
      const places = functions.flatMap((name) => [0n, 9n, 33n].map((offset) => address(name) + offset));
      const said = execFileSync(
        "addr2line",
        ["-e", file ?? "", ...places.map((place) => `0x${place.toString(16)}`)],
        {
          encoding: "utf8",
        },
      )
        .trim()
        .split("\n")
        .map((line) => line.replace(/ \(discriminator \d+\)$/, "").replace(/\?$/, "0"));
      const found = places.map((place) => {
        const line = symbols.lineOf(place);
        return line === undefined ? "??:0" : `${line.file}:${line.line}`;
      });
      // addr2line does not resolve "." and ".." nor put relative directories of compilations before names.
      const plain = (path: string) => path.replace(/^.*?((?:arch|include|mm|init)\/[^ ]*)$/, "$1");
      expect(found.map(plain)).toEqual(said.map(plain));
      const line = symbols.lineOf(address("x86_64_start_kernel"));
      const rows = symbols.lines?.rowsOf(line?.file ?? "", line?.line ?? 0) ?? [];
      expect(rows.map((row) => row.address)).toContain(address("x86_64_start_kernel"));
      expect(symbols.lines?.linesOf("arch/x86/kernel/head64.c").length).toBeGreaterThan(50);
    });

    test(title("is read without a complaint"), () => {
      expect(symbols.problems).toEqual([]);
    });
  },
  120_000,
);

const nowhere: FrameContext = { pc: 0n, cfa: undefined, register: () => undefined, read: () => undefined };
