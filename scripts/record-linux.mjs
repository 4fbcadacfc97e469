// Boots a Linux kernel in QEMU and writes its page tables at four moments of its start as JSON.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { importTypeScript } from "./runTypeScript.mjs";

const USAGE = `npm run record-linux -- [--kernel VMLINUX] [options]
  --kernel FILE   an ELF kernel with a PVH note; the first of the fetched ones (npm run kernels -- --debug)
  --memory SIZE   as QEMU reads it; 4G
  --cpu MODEL     as QEMU reads it; qemu64
  --cmdline TEXT  nokaslr
  --bzimage FILE  what firmware starts in its place: the same kernel's bzImage
  --firmware      leave what firmware has put below 1 MiB there
  --out FILE      standard output
  --all           record all of test/reference/linux again`;

const OPTIONS = {
  kernel: { type: "string" },
  memory: { type: "string", default: "4G" },
  cpu: { type: "string", default: "qemu64" },
  cmdline: { type: "string", default: "nokaslr" },
  bzimage: { type: "string" },
  firmware: { type: "boolean", default: false },
  out: { type: "string" },
  all: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

/** What test/reference/linux holds: flavour, memory, CPU, and what else the file's name says. */
const RECORDED = [
  ...["256M", "2560M", "4G", "6G", "12G"].map((memory) => ["amd64", memory, "qemu64"]),
  ["amd64", "4G", "qemu64", "firmware"],
  ...["256M", "4G", "6G"].map((memory) => ["amd64", memory, "max,la57=off"]),
  ...["256M", "4G", "6G"].map((memory) => ["cloud-amd64", memory, "qemu64"]),
  ["cloud-amd64", "4G", "max,la57=off"],
  // Decompressors turn 5-level paging on where there is LA57.
  ...["256M", "4G", "6G"].map((memory) => ["amd64", memory, "qemu64", "bzimage"]),
  ...["256M", "4G", "12G"].map((memory) => ["amd64", memory, "max", "bzimage"]),
  ["cloud-amd64", "4G", "qemu64", "bzimage"],
  ["cloud-amd64", "4G", "max", "bzimage"],
];

try {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const linux = await importTypeScript(new URL("../test/support/linux/index.ts", import.meta.url));
  const missing = linux.qemuMissing();
  if (missing !== undefined) throw new Error(missing);
  const paths = linux.vmlinuxPaths();
  if (values.all) {
    for (const [flavour, memory, cpu, kind] of RECORDED) {
      const path = paths.find((each) => each.includes(`/${flavour}/`));
      if (path === undefined)
        throw new Error(`there is no ${flavour} kernel: npm run kernels -- --debug ${flavour}`);
      const kernel = linux.readKernel(path);
      const bzImage = kind === "bzimage" ? linux.bzImageOf(kernel) : undefined;
      const options = { memory, cpu, cmdline: "nokaslr", wipe: kind !== "firmware", bzImage };
      const recording = await linux.recordLinux(kernel, options);
      const name = `${[flavour, memory, cpu.split(",")[0], ...(kind === undefined ? [] : [kind])].join("-")}.json`;
      const text = linux.recordingText(recording);
      writeFileSync(fileURLToPath(new URL(`../test/reference/linux/${name}`, import.meta.url)), text);
      console.log(`${name}: ${text.length} bytes, ${recording.faults.length} faults`);
    }
  } else {
    const path = values.kernel ?? paths[0];
    if (path === undefined) throw new Error("there is no kernel: npm run kernels -- --debug fetches one");
    const { memory, cpu, cmdline, firmware, bzimage } = values;
    const recording = await linux.recordLinux(linux.readKernel(path), {
      memory,
      cpu,
      cmdline,
      wipe: !firmware,
      bzImage: bzimage,
    });
    const text = linux.recordingText(recording);
    if (values.out === undefined) process.stdout.write(text);
    else writeFileSync(values.out, text);
  }
} catch (error) {
  console.error(`record-linux: ${error.message}`);
  if (String(error.code).startsWith("ERR_PARSE_ARGS")) console.error(USAGE);
  process.exit(2);
}
