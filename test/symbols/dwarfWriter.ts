/** Writes small pieces of DWARF, right or wrong as a test needs them. */

export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

export function uleb(value: bigint): number[] {
  const result: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return [...result, Number(rest)];
    result.push(Number(rest & 0x7fn) | 0x80);
  }
}

export function u32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

export interface LineProgramOptions {
  version?: number;
  lineRange?: number;
  opcodeBase?: number;
  /** Instead of the right ones. */
  length?: number;
  headerLength?: number;
  /** The directory and file tables; by default no directory and "main.c". */
  names?: Uint8Array;
}

/** A .debug_line section of one program: line base -5, 12 standard opcodes, is_stmt by default. */
export function lineProgram(program: readonly Uint8Array[], options: LineProgramOptions = {}): Uint8Array {
  const version = options.version ?? 4;
  const opcodeBase = options.opcodeBase ?? 13;
  const names = options.names ?? bytes(0, ...new TextEncoder().encode("main.c"), 0, 0, 0, 0, 0);
  const header = [
    ...[1, 1, 1, 0xfb, options.lineRange ?? 14, opcodeBase],
    ...[0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1].slice(0, Math.max(0, opcodeBase - 1)),
    ...names,
  ];
  const before = [version, 0, ...(version >= 5 ? [8, 0] : [])];
  const headerLength = options.headerLength ?? header.length;
  const body = [...before, ...u32(headerLength), ...header, ...program.flatMap((part) => [...part])];
  return bytes(...u32(options.length ?? body.length), ...body);
}
