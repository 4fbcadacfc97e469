// Makes a screenshot small: 256 colours at most, which is what an editor's window can be told apart by.
import { crc32, deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
/** Channels of the colour types that a browser writes: RGB and RGBA. */
const CHANNELS = { 2: 3, 6: 4 };

/**
 * The same picture with a palette.
 * @param png 8 bits a channel, RGB or RGBA, not interlaced; what is transparent is not kept
 */
export function smallPng(png) {
  const { width, height, pixels } = decode(png);
  const { palette, indexes } = quantize(pixels);
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y++)
    rows.set(indexes.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flat())),
    chunk("IDAT", deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** Colours as 0xRRGGBB. @throws an Error where it is another kind of PNG */
function decode(png) {
  let [width, height, channels] = [0, 0, 0];
  const data = [];
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") {
      [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
      channels = body[8] === 8 && body[12] === 0 ? CHANNELS[body[9]] : undefined;
      if (channels === undefined) throw new Error("a PNG with 8 bits of RGB or RGBA is wanted");
    }
    if (type === "IDAT") data.push(body);
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(data));
  const stride = width * channels;
  let above = new Uint8Array(stride);
  const pixels = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    const row = raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let i = 0; i < stride; i++) {
      const left = i < channels ? 0 : row[i - channels];
      row[i] += predicted(filter, left, above[i], i < channels ? 0 : above[i - channels]);
    }
    for (let x = 0; x < width; x++) {
      const i = x * channels;
      pixels[y * width + x] = (row[i] << 16) | (row[i + 1] << 8) | row[i + 2];
    }
    above = row;
  }
  return { width, height, pixels };
}

function predicted(filter, left, up, corner) {
  switch (filter) {
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4: {
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      return a <= b && a <= c ? left : b <= c ? up : corner;
    }
    default:
      return 0;
  }
}

/** Median cut, by how often the colours come. */
function quantize(pixels) {
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const channel = (colour, shift) => (colour >> shift) & 0xff;
  const box = (colours) => {
    const ranges = [16, 8, 0].map((shift) => {
      const values = colours.map((colour) => channel(colour, shift));
      return {
        shift,
        range: values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b)),
      };
    });
    const widest = ranges.reduce((a, b) => (b.range > a.range ? b : a));
    const count = colours.reduce((sum, colour) => sum + counts.get(colour), 0);
    // What comes often and differs much is cut first; the square root leaves rare colours their share.
    return { colours, shift: widest.shift, weight: colours.length < 2 ? 0 : widest.range * Math.sqrt(count) };
  };
  const boxes = [box([...counts.keys()])];
  while (boxes.length < 256) {
    const worst = boxes.reduce((a, b) => (b.weight > a.weight ? b : a));
    if (worst.weight === 0) break;
    const sorted = worst.colours.sort((a, b) => channel(a, worst.shift) - channel(b, worst.shift));
    const middle = sorted.length >> 1;
    boxes.splice(boxes.indexOf(worst), 1, box(sorted.slice(0, middle)), box(sorted.slice(middle)));
  }
  const places = new Map();
  const palette = boxes.map(({ colours }, index) => {
    // The most frequent one: backgrounds and text keep their very colours.
    const shown = colours.reduce((a, b) => (counts.get(b) > counts.get(a) ? b : a));
    for (const colour of colours) places.set(colour, index);
    return [16, 8, 0].map((shift) => channel(shown, shift));
  });
  return { palette, indexes: Uint8Array.from(pixels, (pixel) => places.get(pixel)) };
}

function chunk(type, body) {
  const named = Buffer.concat([Buffer.from(type, "latin1"), body]);
  const out = Buffer.alloc(named.length + 8);
  out.writeUInt32BE(body.length, 0);
  out.set(named, 4);
  out.writeUInt32BE(crc32(named), named.length + 4);
  return out;
}
