/**
 * The LZMA decoder that .lzma files and LZMA2 share ("LZMA Specification", 2015, of the LZMA SDK). Names are those of
 * the specification. The output itself is the dictionary, since all of it is kept.
 *
 * Input that ends too early reads as zeroes and is refused at the next symbol; each symbol makes at least a byte of
 * output or is refused, so that the work is bounded by the size of the output.
 */
import { corrupt, type Output } from "./output";

const PROBABILITY_HALF = 1024;
const LITERAL_SIZE = 0x300;
const STATES = 12;
const POSITION_STATES = 16;
/** Distances from this slot on have bits that are coded directly. */
const END_POSITION_MODEL = 14;
const ALIGN_BITS = 4;
const SHORTEST_MATCH = 2;

/** lc, lp and pb, from one byte. */
export interface LzmaProperties {
  literalContextBits: number;
  literalPositionBits: number;
  positionBits: number;
}

/** @throws ImageError where the byte is none of properties */
export function lzmaProperties(byte: number): LzmaProperties {
  if (byte >= 9 * 5 * 5) throw corrupt(`LZMA properties of ${byte}, which do not exist`);
  return {
    literalContextBits: byte % 9,
    literalPositionBits: Math.floor(byte / 9) % 5,
    positionBits: Math.floor(byte / 45),
  };
}

function probabilities(count: number): Uint16Array {
  return new Uint16Array(count).fill(PROBABILITY_HALF);
}

/** Lengths of matches: 8 short ones, 8 middle ones by position, 256 long ones. */
class LengthModel {
  readonly choice = probabilities(2);
  readonly low = probabilities(POSITION_STATES << 3);
  readonly middle = probabilities(POSITION_STATES << 3);
  readonly high = probabilities(256);
}

/** Everything that is learnt while decoding, as it is at the beginning. */
class Model {
  readonly literal: Uint16Array;
  readonly isMatch = probabilities(STATES * POSITION_STATES);
  readonly isRep = probabilities(STATES);
  readonly isRepG0 = probabilities(STATES);
  readonly isRepG1 = probabilities(STATES);
  readonly isRepG2 = probabilities(STATES);
  readonly isRep0Long = probabilities(STATES * POSITION_STATES);
  readonly slot = probabilities(4 << 6);
  readonly special = probabilities(128);
  readonly align = probabilities(1 << ALIGN_BITS);
  readonly length = new LengthModel();
  readonly repLength = new LengthModel();

  constructor({ literalContextBits, literalPositionBits }: LzmaProperties) {
    this.literal = probabilities(LITERAL_SIZE << (literalContextBits + literalPositionBits));
  }
}

const RANGE = 0;
const CODE = 1;

export class LzmaDecoder {
  /** Offset of the next byte of input. */
  at = 0;
  private input: Uint8Array = new Uint8Array(0);
  /** Range and code of the range decoder; in an array, so that 32 bits need no box. */
  private readonly coder = new Int32Array(2);
  private properties: LzmaProperties = lzmaProperties(0);
  private model = new Model(this.properties);
  private state = 0;
  /** The last four distances, less 1. */
  private rep0 = 0;
  private rep1 = 0;
  private rep2 = 0;
  private rep3 = 0;
  /** Where in the output the dictionary begins. */
  private dictionary = 0;

  constructor(private readonly output: Output) {}

  /** Forgets the dictionary. */
  resetDictionary(): void {
    this.dictionary = this.output.length;
  }

  /** Forgets all that was learnt, with the same properties unless others are given. */
  resetState(properties: LzmaProperties = this.properties): void {
    this.properties = properties;
    this.model = new Model(properties);
    this.state = 0;
    this.rep0 = this.rep1 = this.rep2 = this.rep3 = 0;
  }

  /** Begins to read a piece of range-coded input. @throws ImageError where it cannot be one */
  begin(input: Uint8Array): void {
    if (input.length < 5 || input[0] !== 0) throw corrupt("a range coder begins with a byte other than 0");
    this.input = input;
    this.at = 5;
    this.coder[RANGE] = -1;
    this.coder[CODE] = (input[1] << 24) | (input[2] << 16) | (input[3] << 8) | input[4];
  }

  /** Whether all input was used and the code is what an encoder leaves at an end. */
  get finished(): boolean {
    return this.at === this.input.length && this.coder[CODE] === 0;
  }

  /**
   * Decodes up to `end` bytes of output altogether.
   * @returns whether the end marker came first
   * @throws ImageError where the input is corrupt
   */
  decode(end: number): boolean {
    const { output, model, properties } = this;
    const { bytes } = output;
    const positionMask = (1 << properties.positionBits) - 1;
    while (output.length < end) {
      if (this.at > this.input.length) throw corrupt("LZMA data end too early");
      const positionState = (output.length - this.dictionary) & positionMask;
      const { state } = this;
      if (this.bit(model.isMatch, state * POSITION_STATES + positionState) === 0) {
        this.literal();
        continue;
      }
      let length: number;
      if (this.bit(model.isRep, state) === 0) {
        this.rep3 = this.rep2;
        this.rep2 = this.rep1;
        this.rep1 = this.rep0;
        length = this.length(model.length, positionState);
        this.state = state < 7 ? 7 : 10;
        this.rep0 = this.distance(length);
        if (this.rep0 === -1) return true;
      } else if (this.repeated(state, positionState)) {
        this.checkDistance();
        bytes[output.length] = bytes[output.length - this.rep0 - 1];
        output.length++;
        this.state = state < 7 ? 9 : 11;
        continue;
      } else {
        length = this.length(model.repLength, positionState);
        this.state = state < 7 ? 8 : 11;
      }
      this.copy(length + SHORTEST_MATCH, end);
    }
    return false;
  }

  /** Reads the end marker behind the last byte. @returns whether there is one */
  endMarker(): boolean {
    const { model, properties, state } = this;
    const positionState = (this.output.length - this.dictionary) & ((1 << properties.positionBits) - 1);
    if (this.bit(model.isMatch, state * POSITION_STATES + positionState) === 0) return false;
    if (this.bit(model.isRep, state) === 1) return false;
    return this.distance(this.length(model.length, positionState)) === -1 && this.at <= this.input.length;
  }

  private copy(length: number, end: number): void {
    const { output } = this;
    const { bytes } = output;
    this.checkDistance();
    const stop = output.length + length;
    if (stop > end) throw corrupt("an LZMA match reaches beyond the end of the data");
    const distance = this.rep0 + 1;
    // Byte by byte: a match may overlap what it makes.
    for (let to = output.length; to < stop; to++) bytes[to] = bytes[to - distance];
    output.length = stop;
  }

  /** Distances are unsigned: those beyond 2^31 are negative here. */
  private checkDistance(): void {
    if (this.rep0 >= 0 && this.rep0 < this.output.length - this.dictionary) return;
    throw corrupt("an LZMA match refers to bytes before the beginning");
  }

  private literal(): void {
    const { output, properties, model } = this;
    const { bytes } = output;
    const position = output.length - this.dictionary;
    const previous = position === 0 ? 0 : bytes[output.length - 1];
    const { literalContextBits, literalPositionBits } = properties;
    const context =
      ((position & ((1 << literalPositionBits) - 1)) << literalContextBits) +
      (previous >>> (8 - literalContextBits));
    const base = LITERAL_SIZE * context;
    let symbol = 1;
    if (this.state >= 7) {
      this.checkDistance();
      let match = bytes[output.length - this.rep0 - 1];
      while (symbol < 0x100) {
        const matchBit = (match >>> 7) & 1;
        match <<= 1;
        const bit = this.bit(model.literal, base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (matchBit !== bit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.bit(model.literal, base + symbol);
    bytes[output.length++] = symbol;
    this.state = this.state < 4 ? 0 : this.state < 10 ? this.state - 3 : this.state - 6;
  }

  /** A match at one of the last distances. @returns whether it is a single byte */
  private repeated(state: number, positionState: number): boolean {
    const { model } = this;
    if (this.bit(model.isRepG0, state) === 0) {
      return this.bit(model.isRep0Long, state * POSITION_STATES + positionState) === 0;
    }
    let distance = this.rep1;
    if (this.bit(model.isRepG1, state) === 1) {
      distance = this.rep2;
      if (this.bit(model.isRepG2, state) === 1) {
        distance = this.rep3;
        this.rep3 = this.rep2;
      }
      this.rep2 = this.rep1;
    }
    this.rep1 = this.rep0;
    this.rep0 = distance;
    return false;
  }

  /** Less 2. */
  private length(model: LengthModel, positionState: number): number {
    if (this.bit(model.choice, 0) === 0) return this.tree(model.low, positionState << 3, 3);
    if (this.bit(model.choice, 1) === 0) return 8 + this.tree(model.middle, positionState << 3, 3);
    return 16 + this.tree(model.high, 0, 8);
  }

  /** Less 1; -1 is the end marker. */
  private distance(length: number): number {
    const slot = this.tree(this.model.slot, Math.min(length, 3) << 6, 6);
    if (slot < 4) return slot;
    const directBits = (slot >>> 1) - 1;
    const distance = (2 | (slot & 1)) << directBits;
    if (slot < END_POSITION_MODEL) {
      return distance + this.reverseTree(this.model.special, distance - slot, directBits);
    }
    const direct = this.direct(directBits - ALIGN_BITS) << ALIGN_BITS;
    return (distance + direct + this.reverseTree(this.model.align, 0, ALIGN_BITS)) | 0;
  }

  private tree(model: Uint16Array, base: number, bits: number): number {
    let symbol = 1;
    for (let i = 0; i < bits; i++) symbol = (symbol << 1) | this.bit(model, base + symbol);
    return symbol - (1 << bits);
  }

  private reverseTree(model: Uint16Array, base: number, bits: number): number {
    let node = 1;
    let symbol = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(model, base + node);
      node = (node << 1) | bit;
      symbol |= bit << i;
    }
    return symbol;
  }

  private direct(bits: number): number {
    const { coder } = this;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const half = coder[RANGE] >>> 1;
      coder[RANGE] = half;
      const bit = coder[CODE] >>> 0 < half ? 0 : 1;
      if (bit === 1) coder[CODE] -= half;
      value = (value << 1) | bit;
      this.normalize();
    }
    return value;
  }

  private bit(model: Uint16Array, index: number): number {
    const { coder } = this;
    const probability = model[index];
    const bound = Math.imul(coder[RANGE] >>> 11, probability);
    if (coder[CODE] >>> 0 < bound >>> 0) {
      coder[RANGE] = bound;
      model[index] = probability + ((2048 - probability) >>> 5);
      this.normalize();
      return 0;
    }
    coder[RANGE] -= bound;
    coder[CODE] -= bound;
    model[index] = probability - (probability >>> 5);
    this.normalize();
    return 1;
  }

  private normalize(): void {
    const { coder } = this;
    if (coder[RANGE] >>> 0 >= 0x1000000) return;
    coder[RANGE] <<= 8;
    coder[CODE] = (coder[CODE] << 8) | (this.at < this.input.length ? this.input[this.at] : 0);
    this.at++;
  }
}
