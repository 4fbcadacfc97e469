// Steps QEMU beside our machine through the start of a Linux kernel, and names where they are not the same.
import { parseArgs } from "node:util";
import { importTypeScript } from "./runTypeScript.mjs";

const USAGE = `npm run lockstep -- [--kernel VMLINUX] [options]
  --kernel FILE     an ELF kernel with a PVH note; the first of the fetched ones (npm run kernels -- --debug)
  --memory SIZE     4G
  --cpu MODEL       as QEMU reads it; qemu64
  --our-cpu MODEL   our machine's, where its name is another
  --cmdline TEXT    nokaslr
  --from SYMBOL     begin at the first entry of a function
  --until SYMBOL    compare page tables at the return of a function, and end there if there were samples enough;
                    init_mem_mapping
  --steps N         instructions compared one by one; 100000
  --samples N       moments compared behind them, at the least; 1000
  --differences N   answers of CPUID, RDMSR and IN that may differ until it ends; 1`;

const OPTIONS = {
  kernel: { type: "string" },
  memory: { type: "string", default: "4G" },
  cpu: { type: "string", default: "qemu64" },
  "our-cpu": { type: "string" },
  cmdline: { type: "string", default: "nokaslr" },
  from: { type: "string" },
  until: { type: "string", default: "init_mem_mapping" },
  steps: { type: "string", default: "100000" },
  samples: { type: "string", default: "1000" },
  differences: { type: "string", default: "1" },
  help: { type: "boolean", default: false },
};

try {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const tools = await importTypeScript(new URL("../test/support/lockstep/index.ts", import.meta.url));
  const missing = tools.qemuMissing();
  if (missing !== undefined) throw new Error(missing);
  const path = values.kernel ?? tools.vmlinuxPaths()[0];
  if (path === undefined) throw new Error("there is no kernel: npm run kernels -- --debug fetches one");
  const { memory, cpu, cmdline, from, until } = values;
  const options = {
    ...{ memory, cpu, cmdline, until },
    ...(values["our-cpu"] === undefined ? {} : { ourCpu: values["our-cpu"] }),
    ...(from === undefined ? {} : { from }),
    ...{
      steps: count("steps", values),
      samples: count("samples", values),
      differences: count("differences", values),
    },
  };
  const result = await tools.lockstep(
    tools.readKernel(path),
    options,
    ({ moment, rip, symbol, instruction, what }) =>
      console.log(`${moment}: 0x${rip.toString(16)} ${symbol}: ${instruction}: ${what}`),
  );
  const { steps, samples, times, questions, findings } = result;
  console.log(
    `${steps} instructions and ${samples} samples compared, ${questions} answers of CPUID, RDMSR and IN, ` +
      `${times} answers of clocks taken from QEMU: ${findings.length} differences`,
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`lockstep: ${error.message}`);
  if (String(error.code).startsWith("ERR_PARSE_ARGS")) console.error(USAGE);
  process.exit(2);
}

function count(name, values) {
  if (!/^\d{1,9}$/.test(values[name])) throw new Error(`--${name} takes a number, not "${values[name]}"`);
  return Number(values[name]);
}
