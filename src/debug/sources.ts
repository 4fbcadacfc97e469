/**
 * Source files by two names: the one that debugging information gives, and the path where the user's editor has the
 * file. Prefixes are replaced; the longest that fits wins.
 */
import type { DebugProtocol } from "@vscode/debugprotocol";

/** Prefixes of debugging information's paths, and what stands there on this machine. */
export type SourceFileMap = Readonly<Record<string, string>>;

/** What sources need of the world. */
export interface SourceFiles {
  /** Whether there is a file. */
  exists(path: string): boolean;
}

export class Sources {
  private readonly prefixes: readonly { from: string; to: string }[];
  private readonly known = new Map<string, boolean>();

  constructor(
    map: SourceFileMap,
    private readonly files: SourceFiles,
  ) {
    this.prefixes = Object.entries(map)
      .map(([from, to]) => ({ from: withoutEnd(plain(from)), to: withoutEnd(plain(to)) }))
      .sort((a, b) => b.from.length - a.from.length);
  }

  /** The path on this machine of a file of the debugging information, whether it is there or not. */
  toPath(file: string): string {
    for (const { from, to } of this.prefixes) if (isBelow(file, from)) return to + file.slice(from.length);
    return file;
  }

  /** The names that debugging information may have for a path on this machine, the likeliest first. */
  toFiles(path: string): string[] {
    const wanted = plain(path);
    const found = this.prefixes.flatMap(({ from, to }) =>
      isBelow(wanted, to) ? [from + wanted.slice(to.length)] : [],
    );
    return [...found, wanted];
  }

  /** A source as the protocol has it; undefined where the file is not on this machine, so that disassembly is shown. */
  source(file: string): DebugProtocol.Source | undefined {
    const path = this.toPath(file);
    if (!this.exists(path)) return undefined;
    return { name: nameOf(path), path };
  }

  private exists(path: string): boolean {
    let known = this.known.get(path);
    if (known === undefined) {
      known = this.files.exists(path);
      this.known.set(path, known);
    }
    return known;
  }
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Forward slashes, and a drive letter in lower case, on Windows. */
function plain(path: string): string {
  if (!/^[a-z]:[\\/]/i.test(path)) return path;
  return path[0].toLowerCase() + path.slice(1).replaceAll("\\", "/");
}

function withoutEnd(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
