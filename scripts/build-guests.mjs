// Builds the boot programs' images and keeps guests/images.json: `node scripts/build-guests.mjs [--check]`.
//
// With --check nothing is written: it fails where sources or images are not those of images.json, and, where the
// compiler and linker of images.json are installed, where building again gives other bytes.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const GUESTS = "guests";
const INDEX = join(GUESTS, "images.json");
const PROGRAMS = {
  "direct-map": ["direct-map.elf", "direct-map-xen.elf"],
  "early-fault": ["early-fault-merged.elf", "early-fault-prototype.elf"],
  "i386-paravirt": ["i386-paravirt-native.elf", "i386-paravirt-native-pae.elf", "i386-paravirt-xen-pae.elf"],
  "xen-p2m": ["xen-p2m.elf"],
};
const SOURCE = /\.(c|h|S|lds|mk)$|^Makefile$/;

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** The hash of a file; undefined where there is none. */
const hashOf = (path) => (existsSync(path) ? sha256(readFileSync(path)) : undefined);

/** One hash over the names and contents of a program's sources and the common ones. */
function sourcesHash(program) {
  const hash = createHash("sha256");
  for (const folder of ["common", program]) {
    for (const name of readdirSync(join(GUESTS, folder)).sort()) {
      if (SOURCE.test(name))
        hash.update(`${folder}/${name} ${sha256(readFileSync(join(GUESTS, folder, name)))}\n`);
    }
  }
  return hash.digest("hex");
}

/** The first lines of what compiler and linker say of themselves; undefined where one is missing. */
function toolchain() {
  try {
    return ["gcc", "ld"]
      .map((tool) => execFileSync(tool, ["--version"], { encoding: "utf8" }).split("\n")[0])
      .join("; ");
  } catch {
    return undefined;
  }
}

function make(program, out) {
  execFileSync("make", ["-C", join(GUESTS, program), "-B", "CC=gcc", `OUT=${out}`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

function build() {
  const index = { toolchain: toolchain(), programs: {} };
  if (index.toolchain === undefined) {
    console.error("the boot programs are built with gcc and GNU binutils for x86-64: install them first");
    process.exitCode = 1;
    return;
  }
  for (const [program, images] of Object.entries(PROGRAMS)) {
    make(program, ".");
    const hashes = Object.fromEntries(
      images.map((it) => [it, sha256(readFileSync(join(GUESTS, program, it)))]),
    );
    index.programs[program] = { sources: sourcesHash(program), images: hashes };
  }
  writeFileSync(INDEX, `${JSON.stringify(index, undefined, 2)}\n`);
}

function check() {
  const index = JSON.parse(readFileSync(INDEX, "utf8"));
  const problems = [];
  const here = toolchain();
  for (const [program, { sources, images }] of Object.entries(index.programs)) {
    if (sourcesHash(program) !== sources) {
      problems.push(`the sources of ${program} have changed since its images were built: run npm run guests`);
    }
    for (const [image, hash] of Object.entries(images)) {
      if (hashOf(join(GUESTS, program, image)) !== hash) {
        problems.push(`${image} is not the image that images.json names: run npm run guests`);
      }
    }
    if (problems.length > 0 || here !== index.toolchain) continue;
    const out = mkdtempSync(join(tmpdir(), "pagewalk-guests-"));
    try {
      make(program, out);
      for (const [image, hash] of Object.entries(images)) {
        if (sha256(readFileSync(join(out, image))) !== hash)
          problems.push(`${image} comes out differently when built again`);
      }
    } finally {
      rmSync(out, { recursive: true });
    }
  }
  if (here !== index.toolchain) {
    console.log(
      `SKIPPED building again: the images were built with ${index.toolchain}, here is ${here ?? "no compiler"}`,
    );
  }
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (process.argv.includes("--check")) check();
else build();
