/** Our machine beside QEMU through the start of Linux: instruction by instruction at first, then at moments. */
import { expect, test } from "vitest";
import { kernelCache, readKernel, vmlinuxPaths } from "../support/linux/kernels";
import { lockstep } from "../support/lockstep/lockstep";
import { qemuMissing } from "../support/qemu/qemuMachine";

test("the CPU goes the way of QEMU's to the return of init_mem_mapping", { timeout: 300_000 }, async ({
  skip,
}) => {
  const [path] = vmlinuxPaths();
  if (path === undefined) skip(`no vmlinux is in ${kernelCache()}: npm run kernels -- --debug fetches one`);
  const missing = qemuMissing();
  if (missing !== undefined) skip(missing);
  const { findings, ...counts } = await lockstep(readKernel(path), {
    ...{ memory: "4G", cpu: "qemu64", cmdline: "nokaslr", until: "init_mem_mapping" },
    ...{ steps: 5000, samples: 500, differences: 20 },
  });
  expect(findings.map(({ symbol, instruction, what }) => `${symbol}: ${instruction}: ${what}`)).toEqual([]);
  expect(counts).toMatchObject({ steps: 5000, samples: 500 });
  expect(counts.questions).toBeGreaterThan(500);
});
