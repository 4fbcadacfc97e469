/** Writes the symbol table of a kernel, in each of the layouts that there have been. */

export interface WrittenSymbol {
  readonly type: string;
  readonly name: string;
  readonly address: bigint;
}

export interface KallsymsLayout {
  readonly pointer: 4 | 8;
  /** Absolute addresses; offsets from a base, in either reading; offsets from where they lie. */
  readonly addresses: "absolute" | "unsigned" | "per-cpu" | "relative";
  /** Whether the addresses stand behind the tokens. */
  readonly behind: boolean;
  /** Bytes of the offsets of every 256th name. */
  readonly marker: 4 | 8;
  /** Whether the numbers of the symbols by name stand before the tokens. */
  readonly sequence: boolean;
}

/** Tokens: each character stands for itself; the others for pairs that kernels have often. */
const PAIRS = ["Tk", "__", "init_", "sys_", "page", "table", "early_"];

/**
 * The table's bytes.
 * @param symbols by address
 * @param linked the address that the first byte is linked to
 */
export function writeKallsyms(
  symbols: readonly WrittenSymbol[],
  { pointer, addresses, behind, marker, sequence }: KallsymsLayout,
  linked: bigint,
): Uint8Array {
  const bytes: number[] = [];
  const align = () => {
    while (bytes.length % pointer !== 0) bytes.push(0);
  };
  const number = (value: bigint | number, size: number) => {
    for (let i = 0; i < size; i++) bytes.push(Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
  };
  const base = symbols.reduce(
    (least, { address, type }) => (type !== "A" && address < least ? address : least),
    symbols[symbols.length - 1].address,
  );
  const writeAddresses = () => {
    align();
    if (addresses === "absolute") {
      for (const { address } of symbols) number(address, pointer);
      return;
    }
    for (const { address, type } of symbols) {
      if (addresses === "unsigned") number(address - base, 4);
      else if (addresses === "relative") number(address - linked - BigInt(bytes.length), 4);
      else number(type === "A" ? address : base - 1n - address, 4);
    }
    align();
    if (addresses !== "relative") number(base, pointer);
  };
  if (!behind) writeAddresses();
  align();
  number(symbols.length, pointer);
  const markers: number[] = [];
  const start = bytes.length;
  for (const [index, { type, name }] of symbols.entries()) {
    if (index % 256 === 0) markers.push(bytes.length - start);
    const codes = encode(type + name);
    if (codes.length < 0x80) bytes.push(codes.length);
    else bytes.push((codes.length & 0x7f) | 0x80, codes.length >> 7);
    bytes.push(...codes);
  }
  align();
  for (const offset of markers) number(offset, marker);
  align();
  if (sequence) for (const index of symbols.keys()) bytes.push(0, index >> 8, index & 0xff);
  align();
  const offsets: number[] = [];
  const tokens = bytes.length;
  for (let code = 0; code < 256; code++) {
    offsets.push(bytes.length - tokens);
    bytes.push(...new TextEncoder().encode(tokenOf(code)), 0);
  }
  align();
  for (const offset of offsets) number(offset, 2);
  if (behind) writeAddresses();
  return Uint8Array.from(bytes);
}

function tokenOf(code: number): string {
  if (code >= 0x21 && code < 0x7f) return String.fromCharCode(code);
  return PAIRS[code] ?? `x${code}`;
}

function encode(text: string): number[] {
  const codes: number[] = [];
  for (let at = 0; at < text.length; ) {
    const pair = PAIRS.findIndex((each) => text.startsWith(each, at));
    codes.push(pair >= 0 ? pair : text.charCodeAt(at));
    at += pair >= 0 ? PAIRS[pair].length : 1;
  }
  return codes;
}
