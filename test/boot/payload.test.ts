import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ImageError } from "../../src/boot/errors";
import { decompressPayload } from "../../src/boot/payload";
import { decodeBcjX86 } from "../../src/bytes/decompress/bcjX86";
import { withSize } from "../support/bzImageWriter";
import { COMPRESSORS, compress, missing } from "../support/compressors";

/** Bytes like a program's: calls, repetitions, zeroes and noise; the same ones each time. */
function programLike(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (let at = 0; at < size; ) {
    const length = 1 + random(60);
    const kind = random(5);
    for (let i = 0; i < length && at < size; i++, at++) {
      if (kind === 0) bytes[at] = random(256);
      else if (kind === 1 && at > 3000) bytes[at] = bytes[at - 1 - random(3000 - i)];
      else if (kind === 2) bytes[at] = [0xe8, random(256), random(4), 0, random(2) * 0xff][i % 5];
      else if (kind === 3 && at > 2000) bytes[at] = bytes[at - 2000];
    }
  }
  return bytes;
}

const SAMPLES: readonly [string, Uint8Array][] = [
  ["a byte", Uint8Array.of(0x42)],
  ["zeroes", new Uint8Array(300_000)],
  ["a program", programLike(1_500_000)],
  [
    "opcodes close together",
    Uint8Array.from({ length: 5000 }, (_, i) => [0xe8, 0xe9, 0, 0xff, 0xe8, 0][(i * 7) % 6]),
  ],
  [
    "noise",
    programLike(70_000).map((byte, i) => byte ^ Math.imul(i + 1, 2654435761) ^ (Math.imul(i, i) >>> 7)),
  ],
];

describe.each(COMPRESSORS)("$name", (compressor) => {
  const reason = missing(compressor);
  if (reason !== undefined) {
    test.skip(reason, () => {});
    return;
  }

  test.each(SAMPLES)("gives back %s", (_, bytes) => {
    expect(Buffer.from(decompressPayload(compress(compressor, bytes))).equals(bytes)).toBe(true);
  });

  const sample = programLike(40_000);
  const payload = compress(compressor, sample);

  test("that is cut off is refused", () => {
    fc.assert(
      fc.property(fc.nat(payload.length - 5), (length) => {
        const cut = withSize(payload.subarray(0, length), sample.length);
        expect(() => decompressPayload(cut)).toThrow(ImageError);
      }),
      { numRuns: 60 },
    );
  });

  test("whose size is wrong is refused", () => {
    const other = fc.integer({ min: 0, max: 2 ** 32 - 1 }).filter((size) => size !== sample.length);
    fc.assert(
      fc.property(fc.oneof(other, fc.integer({ min: 1, max: 2 * sample.length })), (size) => {
        fc.pre(size !== sample.length);
        const lying = payload.slice();
        new DataView(lying.buffer).setUint32(lying.length - 4, size, true);
        expect(() => decompressPayload(lying)).toThrow(ImageError);
      }),
      { numRuns: 30 },
    );
  });

  test("with changed bytes is refused, or gives as many bytes as it promises", () => {
    const changes = fc.array(fc.tuple(fc.nat(payload.length - 5), fc.nat(255)), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(changes, (list) => {
        const changed = payload.slice();
        for (const [at, byte] of list) changed[at] = byte;
        try {
          expect(decompressPayload(changed).length).toBe(sample.length);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("that holds more than it promises is refused before it fills memory", () => {
    const bomb = compress(compressor, new Uint8Array(64 * 2 ** 20));
    new DataView(bomb.buffer, bomb.byteOffset).setUint32(bomb.length - 4, 4096, true);
    expect(() => decompressPayload(bomb)).toThrow(/corrupt/);
  });
});

describe("a payload", () => {
  test("of absurd size is refused without being decompressed", () => {
    const payload = withSize(Uint8Array.of(0x02, 0x21, 0x4c, 0x18, 0, 0, 0, 0), 2 ** 31);
    expect(() => decompressPayload(payload)).toThrow(/says that its kernel has 2147483648 bytes/);
  });

  test("compressed with LZO names the entry that can do with it", () => {
    const lzo = withSize(Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a), 10);
    expect(() => decompressPayload(lzo)).toThrow(
      /compressed with LZO, which is not supported.*linux64-compressed/,
    );
  });

  test("that begins with nothing known is refused", () => {
    expect(() => decompressPayload(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).toThrow(/begins with 01 02 03 04/);
    expect(() => decompressPayload(new Uint8Array(0))).toThrow(ImageError);
  });

  test("of a few bytes of zstd that would copy for minutes is refused at once", () => {
    // 98,047 sequences of 65,539 bytes each, in a block of 9 bytes: all three tables have a single symbol.
    const count = 98047 - 0x7f00;
    const block = [0x00, 255, count & 255, count >> 8, 0x54, 0, 1, 52, 0x80];
    const frame = [
      0x28,
      0xb5,
      0x2f,
      0xfd,
      0xe0,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      (block.length << 3) | 5,
      0,
      0,
      ...block,
    ];
    expect(() => decompressPayload(withSize(Uint8Array.from(frame), 65536))).toThrow(/corrupt/);
  });

  test("of any bytes behind any magic number is an ImageError", () => {
    const magics = [
      [0x1f, 0x8b, 8],
      [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0],
      [0x28, 0xb5, 0x2f, 0xfd],
      [0x02, 0x21, 0x4c, 0x18],
      [0x42, 0x5a, 0x68, 0x39],
      [0x5d, 0, 0],
    ];
    fc.assert(
      fc.property(fc.constantFrom(...magics), fc.uint8Array({ maxLength: 300 }), (magic, rest) => {
        const payload = withSize(Uint8Array.of(...magic, ...rest), 1000);
        try {
          expect(decompressPayload(payload).length).toBe(1000);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

test("the x86 filter makes absolute targets relative, and leaves others alone", () => {
  const bytes = Uint8Array.of(0x90, 0xe8, 0x10, 0, 0, 0, 0xe9, 0x10, 0x20, 0x30, 0x40, 0x90, 0x90);
  decodeBcjX86(bytes, 0);
  expect([...bytes]).toEqual([0x90, 0xe8, 0x0a, 0, 0, 0, 0xe9, 0x10, 0x20, 0x30, 0x40, 0x90, 0x90]);
});
