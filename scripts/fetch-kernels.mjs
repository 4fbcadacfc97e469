// Fetches Debian's Linux kernels through apt and unpacks what boots of them into a cache; installs nothing and needs no
// root. In the cache: <flavour>/boot/vmlinuz-*, and with --debug <flavour>/usr/lib/debug/boot/vmlinux-*.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statfsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";

const FLAVOURS = ["cloud-amd64", "amd64"];
const USAGE = `npm run kernels -- [${FLAVOURS.join("|")} ...] [--debug] [--release 6.1.0-53]
  fetches the kernels of Debian's flavours (${FLAVOURS[0]} unless given) into PAGEWALK_KERNELS or ~/.cache/pagewalk/kernels
  --debug         also vmlinux with its debugging information: downloads 282 MB (cloud-amd64) or 855 MB (amd64)
  --release NAME  the newest 6.1.0-* that apt offers, unless given`;

/** What is unpacked of a package, and what that takes beside the package itself, in bytes. */
const PLAIN = { suffix: "", folder: "boot", prefix: "vmlinuz-", room: 64e6 };
const DEBUG = { suffix: "-dbg", folder: "usr/lib/debug/boot", prefix: "vmlinux-", room: 1e9 };

/** What went wrong, in a sentence. */
class FetchError extends Error {}

const cache = process.env.PAGEWALK_KERNELS || join(homedir(), ".cache", "pagewalk", "kernels");

async function main() {
  const { values, positionals } = parseArgs({
    options: {
      debug: { type: "boolean", default: false },
      release: { type: "string" },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  if (values.help) return console.log(USAGE);
  const { debug, release } = values;
  const wrong = positionals.find((flavour) => !FLAVOURS.includes(flavour));
  if (wrong !== undefined) throw new FetchError(`there is no flavour "${wrong}": ${FLAVOURS.join(", ")}`);
  if (release !== undefined && !/^\d+\.\d+\.\d+-\d+$/.test(release))
    throw new FetchError(`"${release}" is no release of a Debian kernel: write 6.1.0-53`);
  const flavours = positionals.length === 0 ? [FLAVOURS[0]] : positionals;
  const parts = debug ? [PLAIN, DEBUG] : [PLAIN];
  const wanted = flavours.flatMap((flavour) => parts.map((part) => ({ flavour, part })));
  if (release !== undefined && wanted.every((each) => isThere(each, release)))
    return console.log("all is there");
  mkdirSync(cache, { recursive: true });
  const temporary = mkdtempSync(join(cache, ".fetching-"));
  try {
    const apt = await offers(temporary);
    for (const flavour of flavours) {
      const chosen = release ?? newest(apt, flavour, parts);
      for (const part of parts) await fetchPart(apt, { flavour, part }, chosen, temporary);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function isThere({ flavour, part: { folder, prefix } }, release) {
  return existsSync(join(cache, flavour, folder, `${prefix}${release}-${flavour}`));
}

/** apt with state of its own, so that its lists can be brought up to date by anybody. */
async function offers(temporary) {
  const folders = ["state/lists/partial", "cache/archives/partial"];
  for (const folder of folders) mkdirSync(join(temporary, "apt", folder), { recursive: true });
  const options = [
    ...[
      "-o",
      `Dir::State=${join(temporary, "apt", "state")}`,
      "-o",
      `Dir::Cache=${join(temporary, "apt", "cache")}`,
    ],
    ...["-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "APT::Sandbox::User="],
    ...["-o", "APT::Update::Error-Mode=any"],
  ];
  const run = (program, args, cwd = temporary) => command(program, [...options, ...args], cwd);
  await run("apt-get", ["-qq", "update"]);
  const names = (await run("apt-cache", ["pkgnames", "linux-image-6.1.0-"])).split("\n");
  return { run, names: new Set(names) };
}

const packageOf = (release, flavour, { suffix }) => `linux-image-${release}-${flavour}${suffix}`;

/** The newest release of which apt has all parts. */
function newest({ names }, flavour, parts) {
  const releases = [...names].flatMap((name) => {
    const match = /^linux-image-(6\.1\.0-(\d+))-(.+)$/.exec(name);
    return match?.[3] === flavour ? [{ release: match[1], number: Number(match[2]) }] : [];
  });
  const whole = releases.filter(({ release }) =>
    parts.every((part) => names.has(packageOf(release, flavour, part))),
  );
  const [first] = whole.sort((a, b) => b.number - a.number);
  if (first === undefined)
    throw new FetchError(`apt offers no linux-image-6.1.0-*-${flavour} with all its parts`);
  return first.release;
}

async function fetchPart({ run, names }, { flavour, part }, release, temporary) {
  const name = packageOf(release, flavour, part);
  if (isThere({ flavour, part }, release)) return console.log(`${name}: is there`);
  if (!names.has(name)) throw new FetchError(`apt offers no ${name}`);
  const size = Number(
    /^Size: (\d+)$/m.exec(await run("apt-cache", ["show", "--no-all-versions", name]))?.[1] ?? 0,
  );
  const { bavail, bsize } = statfsSync(temporary);
  if (bavail * bsize < size + part.room)
    throw new FetchError(
      `${name} needs ${megabytes(size + part.room)} of disk, and ${cache} has ${megabytes(bavail * bsize)}`,
    );
  console.log(`${name}: ${megabytes(size)}`);
  const download = mkdtempSync(join(temporary, "package-"));
  await run("apt-get", ["-qq", "download", name], download);
  const [archive] = readdirSync(download).filter((file) => file.endsWith(".deb"));
  await unpack(join(download, archive), part.folder, download);
  const target = join(cache, flavour, part.folder);
  mkdirSync(target, { recursive: true });
  const source = join(download, part.folder);
  // The kernel comes last: where it is, all is.
  const files = readdirSync(source).sort((a, b) => a.startsWith(part.prefix) - b.startsWith(part.prefix));
  for (const file of files) renameSync(join(source, file), join(target, file));
  rmSync(download, { recursive: true, force: true });
}

/** Unpacks one folder of a package. */
async function unpack(archive, folder, into) {
  const reader = spawn("dpkg-deb", ["--fsys-tarfile", archive], { stdio: ["ignore", "pipe", "inherit"] });
  const tar = spawn("tar", ["-x", "-C", into, `./${folder}`], { stdio: ["pipe", "ignore", "inherit"] });
  const ends = Promise.all([once(reader, "exit"), once(tar, "exit")]);
  await pipeline(reader.stdout, tar.stdin).catch(() => {});
  const [[read], [written]] = await ends;
  if (read !== 0 || written !== 0)
    throw new FetchError(`${archive} cannot be unpacked into ${dirname(into)}`);
}

async function command(program, args, cwd) {
  const { error, status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (error?.code === "ENOENT")
    throw new FetchError(`${program} is not there: kernels come from Debian's archive`);
  if (error !== undefined) throw new FetchError(`${program}: ${error.message}`);
  if (status !== 0) {
    const complaint =
      stderr
        .trim()
        .split("\n")
        .find((line) => line.startsWith("E:")) ?? stderr.trim().split("\n")[0];
    throw new FetchError(`${program} ${args.at(-1)} failed: ${complaint}`);
  }
  return stdout;
}

function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

try {
  await main();
} catch (error) {
  const usage = String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!(error instanceof FetchError) && !usage && error.code === undefined) throw error;
  console.error(`kernels: ${error.message}`);
  if (usage) console.error(USAGE);
  process.exit(1);
}
