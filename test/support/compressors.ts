/** The compressions of a bzImage's payload, as the kernel's build calls them. */
import { execFileSync, spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import { withSize } from "./bzImageWriter";

interface Compressor {
  name: string;
  /** The tool and its arguments; Node itself where there is none. */
  command?: readonly [string, ...string[]];
}

export const COMPRESSORS: readonly Compressor[] = [
  { name: "gzip" },
  { name: "xz", command: ["xz", "--check=crc32", "--x86", "--lzma2=,dict=1MiB", "-c"] },
  { name: "zstd", command: ["zstd", "-q", "-19", "-c"] },
  { name: "lz4", command: ["lz4", "-l", "-9", "-q", "-c"] },
  { name: "bzip2", command: ["bzip2", "-9", "-c"] },
  { name: "lzma", command: ["lzma", "-9", "-c"] },
];

/** Why a compression cannot be tried here; undefined where it can. */
export function missing({ command }: Compressor): string | undefined {
  if (command === undefined || spawnSync(command[0], ["--version"]).error === undefined) return undefined;
  return `SKIPPED: ${command[0]} is not installed`;
}

/** A payload as in a bzImage. */
export function compress({ command }: Compressor, bytes: Uint8Array): Uint8Array {
  if (command === undefined) return gzipSync(bytes);
  const [tool, ...args] = command;
  const stream = execFileSync(tool, args, {
    input: bytes,
    maxBuffer: 2 ** 28,
    stdio: ["pipe", "pipe", "ignore"],
  });
  return withSize(stream, bytes.length);
}
