/**
 * Source files by two names: the one that debugging information gives, and the path where the user's editor has the
 * file. Prefixes are replaced; the longest that fits wins. A build may have made names relative to its own folder
 * ("arch/x86/mm/init.c"): the prefix "." stands for all of these.
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
    const name = plain(file);
    for (const { from, to } of this.prefixes) {
      if (from === ANY_RELATIVE && !isAbsolute(name)) return joined(to, name);
      if (isBelow(name, from)) return joined(to, name.slice(from.length));
    }
    return name;
  }

  /** The names that debugging information may have for a path on this machine, the likeliest first. */
  toFiles(path: string): string[] {
    const wanted = plain(path);
    const found = this.prefixes.flatMap(({ from, to }) =>
      isBelow(wanted, to) ? [replaced(from, wanted.slice(to.length))] : [],
    );
    return [...found, wanted];
  }

  /** A source as the protocol has it; undefined where the file is not on this machine, so that disassembly is shown. */
  source(file: string): DebugProtocol.Source | undefined {
    const path = this.toPath(file);
    // What a relative path leads to depends on where this process was started.
    if (!isAbsolute(path) || !this.exists(path)) return undefined;
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

/** The prefix of every relative name. */
const ANY_RELATIVE = ".";

/** Forward slashes where a path has Windows' ones, a drive letter in lower case, and no "./" before it. */
function plain(path: string): string {
  const hasDrive = /^[a-z]:[\\/]/i.test(path);
  const slashes =
    hasDrive || (path.includes("\\") && !path.includes("/")) ? path.replaceAll("\\", "/") : path;
  const named = slashes === "" || slashes === "./" ? ANY_RELATIVE : slashes.replace(/^(\.\/+)+(?=.)/, "");
  return hasDrive ? named[0].toLowerCase() + named.slice(1) : named;
}

function isAbsolute(path: string): boolean {
  return path.startsWith("/") || /^[a-z]:\//.test(path);
}

function withoutEnd(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** A folder and what follows it in a path, with or without a slash between. */
function joined(folder: string, rest: string): string {
  const below = rest.replace(/^\//, "");
  if (below === "") return folder;
  return folder.endsWith("/") ? folder + below : `${folder}/${below}`;
}

/** The name that debugging information has for what lies below a mapped folder. */
function replaced(from: string, rest: string): string {
  return from === ANY_RELATIVE ? rest.replace(/^\//, "") : joined(from, rest);
}
