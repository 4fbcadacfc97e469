/** Distribution kernels that tests look at where they have been fetched: far too large to come with the sources. */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const CACHE = process.env.PAGEWALK_KERNELS ?? join(homedir(), ".cache/pagewalk/kernels");

/** What there can be: Debian's kernels for PCs and for clouds. */
export const FLAVOURS = ["amd64", "cloud-amd64"] as const;
export type Flavour = (typeof FLAVOURS)[number];

/** The unstripped vmlinux of a flavour, with debugging information; undefined where it is not in the cache. */
export function vmlinuxOf(flavour: Flavour): string | undefined {
  return first(join(CACHE, flavour, "usr/lib/debug/boot"), "vmlinux-");
}

/** What `nm -n` says of it, as the kernel's build left it. */
export function systemMapOf(flavour: Flavour): string | undefined {
  return first(join(CACHE, flavour, "usr/lib/debug/boot"), "System.map-");
}

/** Says why a test is skipped. */
export function skipReason(flavour: Flavour): string {
  return `SKIPPED: no vmlinux of ${flavour} in ${CACHE} (PAGEWALK_KERNELS)`;
}

function first(folder: string, prefix: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const name = readdirSync(folder).find((each) => each.startsWith(prefix));
  return name === undefined ? undefined : join(folder, name);
}
