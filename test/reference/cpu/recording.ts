/**
 * Recorded outcomes and the files that hold them (format in README.md): what the instruction changed, as seen from
 * its inputs, which the generator makes again.
 */
import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Case } from "./builder";

/** The state an instruction left. */
export interface Outcome {
  registers: bigint[];
  rip: bigint;
  flags: number;
  /** Changed bytes of the data region: offset, value. */
  memory: [offset: number, value: number][];
  exception: Exception | undefined;
}

export interface Exception {
  vector: number;
  /** The error code; 0 for vectors that have none. */
  error: number;
  /** CR2 of a page fault, else 0. */
  cr2: bigint;
}

/** The first line of a file, as JSON. */
export interface Header {
  format: number;
  /** The processor's name. */
  cpu: string;
  cases: number;
  /** SHA-256 of the inputs, as the recorder reads them. */
  inputs: string;
}

export interface Recording {
  cpu: string;
  inputs: string;
  outcomes: Outcome[];
}

const FORMAT = 1;
const COMPLETED = 0;
const BRANCHED = 1;
const EXCEPTION = 2;

export function hashOf(input: Uint8Array): string {
  return createHash("sha256").update(input).digest("hex");
}

class Writer {
  private bytes = new Uint8Array(1 << 16);
  private length = 0;

  byte(value: number): void {
    if (this.length === this.bytes.length) {
      const larger = new Uint8Array(2 * this.length);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes[this.length++] = value;
  }

  /** LEB128. */
  number(value: bigint): void {
    let rest = value;
    for (; rest > 0x7fn; rest >>= 7n) this.byte(Number(rest & 0x7fn) | 0x80);
    this.byte(Number(rest));
  }

  /** A value beside the one before: the shorter of value and difference (exclusive or), with its length. */
  value(now: bigint, before: bigint): void {
    const plain = lengthOf(now);
    const changed = lengthOf(now ^ before);
    const length = Math.min(plain, changed);
    this.byte(length | (changed < plain ? 0x80 : 0));
    let rest = changed < plain ? now ^ before : now;
    for (let i = 0; i < length; i++, rest >>= 8n) this.byte(Number(rest & 0xffn));
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  byte(): number {
    if (this.at >= this.bytes.length) throw new Error("the recording ends too early");
    return this.bytes[this.at++];
  }

  number(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  value(before: bigint): bigint {
    const tag = this.byte();
    let value = 0n;
    for (let i = 0; i < (tag & 15); i++) value |= BigInt(this.byte()) << BigInt(8 * i);
    return (tag & 0x80) !== 0 ? value ^ before : value;
  }
}

function lengthOf(value: bigint): number {
  let length = 0;
  for (let rest = value; rest !== 0n; rest >>= 8n) length++;
  return length;
}

function nextOf(one: Case): bigint {
  return one.address + BigInt(one.code.length);
}

/** Signed numbers as unsigned ones: 0, -1, 1, -2, ... */
const zigzag = (value: bigint): bigint => (value << 1n) ^ (value >> 63n);
const unzigzag = (value: bigint): bigint => (value >> 1n) ^ -(value & 1n);

function writeOutcome(writer: Writer, one: Case, outcome: Outcome): void {
  const { exception, rip, memory } = outcome;
  const kind = exception !== undefined ? EXCEPTION : rip === nextOf(one) ? COMPLETED : BRANCHED;
  writer.byte(kind);
  if (kind !== COMPLETED) writer.number(zigzag(BigInt.asIntN(64, rip - one.address)));
  if (exception !== undefined) {
    writer.byte(exception.vector);
    writer.number(BigInt(exception.error));
    writer.value(exception.cr2, one.address);
  }
  let changed = 0;
  outcome.registers.forEach((value, i) => {
    if (value !== one.registers[i]) changed |= 1 << i;
  });
  writer.number(BigInt(changed));
  outcome.registers.forEach((value, i) => {
    if (value !== one.registers[i]) writer.value(value, one.registers[i]);
  });
  writer.number(BigInt(outcome.flags ^ one.flags));
  writer.number(BigInt(memory.length));
  let last = 0;
  for (const [offset, value] of memory) {
    writer.number(BigInt(offset - last));
    writer.byte(value);
    last = offset;
  }
}

function readOutcome(reader: Reader, one: Case): Outcome {
  const kind = reader.byte();
  const rip = kind === COMPLETED ? nextOf(one) : BigInt.asUintN(64, one.address + unzigzag(reader.number()));
  let exception: Exception | undefined;
  if (kind === EXCEPTION) {
    exception = { vector: reader.byte(), error: Number(reader.number()), cr2: reader.value(one.address) };
  }
  const changed = Number(reader.number());
  const registers = one.registers.map((value, i) => ((changed >> i) & 1 ? reader.value(value) : value));
  const flags = one.flags ^ Number(reader.number());
  const memory: [number, number][] = [];
  const count = Number(reader.number());
  let last = 0;
  for (let i = 0; i < count; i++) {
    last += Number(reader.number());
    memory.push([last, reader.byte()]);
  }
  return { registers, rip, flags, memory, exception };
}

/** The content of a file: a line of JSON, then the outcomes; compressed. */
export function encodeRecording(recording: Recording, cases: readonly Case[]): Uint8Array {
  const { cpu, inputs, outcomes } = recording;
  const writer = new Writer();
  const header: Header = { format: FORMAT, cpu, cases: cases.length, inputs };
  for (const byte of new TextEncoder().encode(`${JSON.stringify(header)}\n`)) writer.byte(byte);
  cases.forEach((one, i) => {
    writeOutcome(writer, one, outcomes[i]);
  });
  return gzipSync(writer.finish(), { level: 9 });
}

function unpack(file: Uint8Array): { header: Header; body: Uint8Array } {
  const bytes = new Uint8Array(gunzipSync(file));
  const end = bytes.indexOf(10);
  return {
    header: JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))),
    body: bytes.subarray(end + 1),
  };
}

export function readHeader(file: Uint8Array): Header {
  return unpack(file).header;
}

/**
 * Reads a file back.
 * @param input the recorder's input for the cases, to prove that the generator still makes the recorded ones
 * @throws Error when it does not
 */
export function decodeRecording(file: Uint8Array, cases: readonly Case[], input: Uint8Array): Recording {
  const { header, body } = unpack(file);
  const { format, cpu, inputs } = header;
  if (format !== FORMAT || inputs !== hashOf(input)) {
    throw new Error("the generator makes other cases than were recorded: run node scripts/record-cpu.mjs");
  }
  const reader = new Reader(body);
  return { cpu, inputs, outcomes: cases.map((one) => readOutcome(reader, one)) };
}
