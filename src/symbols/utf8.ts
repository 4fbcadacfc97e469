/** UTF-8, for where there is no TextDecoder. */

/** Arguments that one call takes without trouble. */
const MOST_ARGUMENTS = 4096;

/** Names of files and symbols are UTF-8 by custom; what is not becomes U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  if (isShortAscii(bytes)) return String.fromCharCode(...bytes);
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes[i++];
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      continue;
    }
    const more = lead >= 0xf0 && lead < 0xf5 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc2 ? 1 : 0;
    const code = lead < 0xf5 && more > 0 ? continuation(bytes, i, lead & (0x3f >> more), more) : -1;
    text += code < 0 ? "\ufffd" : String.fromCodePoint(code);
    if (code >= 0) i += more;
  }
  return text;
}

function isShortAscii(bytes: Uint8Array): boolean {
  if (bytes.length > MOST_ARGUMENTS) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] >= 0x80) return false;
  return true;
}

function continuation(bytes: Uint8Array, at: number, lead: number, count: number): number {
  let code = lead;
  for (let i = 0; i < count; i++) {
    const byte = bytes[at + i];
    if (byte === undefined || (byte & 0xc0) !== 0x80) return -1;
    code = (code << 6) | (byte & 0x3f);
  }
  const least = count === 1 ? 0x80 : count === 2 ? 0x800 : 0x10000;
  return code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? -1 : code;
}

export function encodeUtf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x10000)
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else bytes.push(0xf0 | (code >> 18), ...[12, 6, 0].map((shift) => 0x80 | ((code >> shift) & 0x3f)));
  }
  return Uint8Array.from(bytes);
}
