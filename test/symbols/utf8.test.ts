import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeUtf8, encodeUtf8 } from "../../src/symbols/utf8";

const SEED = { seed: 20130124, numRuns: 2000 };

test("text survives encoding and decoding, and is encoded as everywhere", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      fc.pre(!/\p{Surrogate}/u.test(text));
      expect([...encodeUtf8(text)]).toEqual([...new TextEncoder().encode(text)]);
      expect(decodeUtf8(encodeUtf8(text))).toBe(text);
    }),
    SEED,
  );
});

test("well-formed parts of malformed bytes are kept", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      const squeeze = (text: string) => text.replaceAll(/\ufffd+/g, "\ufffd");
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      expect(squeeze(decodeUtf8(bytes))).toBe(squeeze(decoder.decode(bytes)));
    }),
    SEED,
  );
});
