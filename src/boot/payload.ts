/**
 * The compressed kernel inside a bzImage (Linux documentation: "The Linux/x86 Boot Protocol", field payload_offset,
 * names the formats and their magic numbers).
 */
import { Cursor, ImageError } from "../bytes/cursor";
import { decodeBzip2 } from "../bytes/decompress/bzip2";
import { decodeGzip } from "../bytes/decompress/gzip";
import { decodeLz4 } from "../bytes/decompress/lz4";
import { decodeLzma } from "../bytes/decompress/lzma";
import { Output } from "../bytes/decompress/output";
import { decodeXz } from "../bytes/decompress/xz";
import { decodeZstd } from "../bytes/decompress/zstd";
import { MIB, sizeInWords } from "./values";

interface Format {
  name: string;
  magic: readonly number[];
  /** Whether the size stands behind the stream; a gzip stream ends in it itself. */
  sizeBehind: boolean;
  /** Undefined where it is not supported. */
  decode?: (input: Uint8Array, output: Output) => void;
}

const FORMATS: readonly Format[] = [
  { name: "gzip", magic: [0x1f, 0x8b], sizeBehind: false, decode: decodeGzip },
  { name: "xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], sizeBehind: true, decode: decodeXz },
  { name: "zstd", magic: [0x28, 0xb5, 0x2f, 0xfd], sizeBehind: true, decode: decodeZstd },
  { name: "LZ4", magic: [0x02, 0x21, 0x4c, 0x18], sizeBehind: true, decode: decodeLz4 },
  { name: "bzip2", magic: [0x42, 0x5a, 0x68], sizeBehind: true, decode: decodeBzip2 },
  { name: "LZMA", magic: [0x5d, 0x00, 0x00], sizeBehind: true, decode: decodeLzma },
  { name: "LZO", magic: [0x89, 0x4c, 0x5a, 0x4f], sizeBehind: true },
];

/** Kernels take some tens of megabytes; larger ones are taken for corrupt before they cost memory and time. */
const LARGEST_KERNEL = 512 * MIB;

/**
 * @param payload what payload_offset and payload_length name; its last 4 bytes are the size of what it holds
 * @returns the kernel, in most cases an ELF file with relocations behind it
 * @throws ImageError where it is corrupt, too large, or compressed in a way that is not supported
 */
export function decompressPayload(payload: Uint8Array): Uint8Array {
  const format = FORMATS.find(({ magic }) => magic.every((byte, index) => payload[index] === byte));
  if (format === undefined) {
    const first = [...payload.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw new ImageError(`the bzImage's kernel is compressed in an unknown way: it begins with ${first}`);
  }
  const { name, sizeBehind, decode } = format;
  if (decode === undefined) {
    throw new ImageError(
      `the bzImage's kernel is compressed with ${name}, which is not supported: ` +
        "use --entry linux64-compressed, which lets the kernel decompress itself",
    );
  }
  const size = new Cursor(payload, "the bzImage's payload", payload.length - 4).u32();
  if (size === 0 || size > LARGEST_KERNEL) {
    throw new ImageError(
      `the bzImage says that its kernel has ${size} bytes, but 1 byte to ${sizeInWords(LARGEST_KERNEL)} are supported`,
    );
  }
  const output = new Output(size);
  decode(sizeBehind ? payload.subarray(0, -4) : payload, output);
  if (output.length !== size) {
    throw new ImageError(
      `the compressed kernel is corrupt: it holds ${output.length} of the ${size} bytes that it promises`,
    );
  }
  return output.bytes;
}
