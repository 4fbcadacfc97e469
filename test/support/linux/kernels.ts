/** The kernels that `npm run kernels` has fetched, where they are. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type ElfImage, parseElf } from "../../../src/symbols/elf";

/** NT_GNU_BUILD_ID. */
const BUILD_ID_NOTE = 3;

export interface Kernel {
  readonly path: string;
  readonly image: ElfImage;
  /** As hexadecimal digits; "none" where the file has no such note. */
  readonly buildId: string;
}

/** The folder of the cache: PAGEWALK_KERNELS, or one in the home directory. */
export function kernelCache(): string {
  return process.env.PAGEWALK_KERNELS || join(homedir(), ".cache", "pagewalk", "kernels");
}

/** Debian's flavours that tests know of: for PCs and for clouds. */
export const FLAVOURS = ["amd64", "cloud-amd64"] as const;
export type Flavour = (typeof FLAVOURS)[number];

/** The unstripped vmlinux of a flavour, with debugging information; undefined where it is not in the cache. */
export function vmlinuxOf(flavour: Flavour): string | undefined {
  return first(flavour, "usr/lib/debug/boot", "vmlinux-");
}

/** What `nm -n` says of it, as the kernel's build left it. */
export function systemMapOf(flavour: Flavour): string | undefined {
  return first(flavour, "usr/lib/debug/boot", "System.map-");
}

/** The bzImage of a flavour. */
export function vmlinuzOf(flavour: Flavour): string | undefined {
  return first(flavour, "boot", "vmlinuz-");
}

/** Says why a test is skipped. */
export function skipReason(flavour: Flavour): string {
  return `SKIPPED: ${flavour} is not in ${kernelCache()}: npm run kernels -- --debug ${flavour} fetches it`;
}

function first(flavour: Flavour, within: string, prefix: string): string | undefined {
  const folder = join(kernelCache(), flavour, within);
  if (!existsSync(folder)) return undefined;
  const name = readdirSync(folder).find((each) => each.startsWith(prefix));
  return name === undefined ? undefined : join(folder, name);
}

/** @throws ImageError where the file is no ELF image, and errors of Node's where it cannot be read */
export function readKernel(path: string): Kernel {
  const image = parseElf(readFileSync(path));
  const note = image.notes().find(({ name, type }) => name === "GNU" && type === BUILD_ID_NOTE);
  const buildId = note === undefined ? "none" : Buffer.from(note.description).toString("hex");
  return { path, image, buildId };
}

/** The paths of the kernels with debugging information (`vmlinux`) of all flavours. */
export function vmlinuxPaths(): string[] {
  const cache = kernelCache();
  if (!existsSync(cache)) return [];
  return readdirSync(cache).flatMap((flavour) => {
    const folder = join(cache, flavour, "usr", "lib", "debug", "boot");
    if (!existsSync(folder)) return [];
    const names = readdirSync(folder).filter((name) => name.startsWith("vmlinux-"));
    return names.sort().map((name) => join(folder, name));
  });
}

/** The bzImage that was fetched with a kernel; undefined where there is none. */
export function bzImageOf({ path }: Kernel): string | undefined {
  const name = basename(path).replace("vmlinux-", "vmlinuz-");
  const beside = join(dirname(path), "..", "..", "..", "..", "boot", name);
  return existsSync(beside) ? beside : undefined;
}

/** A fetched kernel by its file's name and build-id, or why there is none. */
export function findKernel(name: string, buildId: string): Kernel | string {
  const path = vmlinuxPaths().find((each) => each.endsWith(`/${name}`));
  if (path === undefined) return `${name} is not in ${kernelCache()}: ${fetching(name)} fetches it`;
  const kernel = readKernel(path);
  if (kernel.buildId === buildId) return kernel;
  return `${path} has the build-id ${kernel.buildId}, and the recording was made of ${buildId}`;
}

/** What fetches a kernel of Debian's by its file's name. */
function fetching(name: string): string {
  const [, release, flavour] = /^vmlinux-(\d[\d.]*-\d+)-(.+)$/.exec(name) ?? [];
  return `npm run kernels -- --debug${release === undefined ? "" : ` --release ${release} ${flavour}`}`;
}
