/** Memory as bytes and as instructions. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Debuggee } from "../debuggee";
import { bytesText, type DisassembledInstruction } from "../disassembly";
import { RequestError } from "../dispatcher";
import { type MemoryPlace, parseReference, physicalReference } from "../memoryReference";
import { DISASSEMBLE, READ_MEMORY, WRITE_MEMORY } from "../protocol/standard";
import { toHex } from "../protocol/values";
import type { Session } from "../session";
import { toClient } from "./breakpoints";

/** Bytes of one request at most. */
const MOST_BYTES = 1 << 20;

/** Registers the handlers. */
export function registerMemoryRequests(session: Session): void {
  const { dispatcher } = session;
  dispatcher.on(READ_MEMORY, ({ memoryReference, offset, count }) => {
    const place = moved(requireReference(memoryReference), offset);
    const wanted = Math.min(count, MOST_BYTES);
    const bytes = readAt(session.debuggee, place, wanted);
    const unreadableBytes = bytes.length < count ? { unreadableBytes: count - bytes.length } : {};
    return { address: addressOf(place), data: Buffer.from(bytes).toString("base64"), ...unreadableBytes };
  });
  dispatcher.on(WRITE_MEMORY, ({ memoryReference, offset, allowPartial, data }) => {
    const debuggee = session.stopped;
    const place = moved(requireReference(memoryReference), offset);
    const bytes = fromBase64(data);
    if (!allowPartial && readAt(debuggee, place, bytes.length).length < bytes.length) {
      throw new RequestError(`not all of the ${bytes.length} bytes at ${addressOf(place)} can be written`);
    }
    const bytesWritten = debuggee.control.quietly(() => writeAt(debuggee, place, bytes));
    session.changed(["all"]);
    return { bytesWritten };
  });
  dispatcher.on(DISASSEMBLE, (args) => {
    const debuggee = session.stopped;
    const place = requireReference(args.memoryReference);
    if (place.space !== "linear") throw new RequestError("only linear addresses can be disassembled");
    const start = moved(place, args.offset).address;
    const found = debuggee.disassembler.around(start, args.instructionOffset, args.instructionCount);
    return { instructions: described(session, debuggee, found, args.resolveSymbols) };
  });
}

/** Symbols where functions begin, source places where a line begins: as the disassembly view wants them. */
function described(
  session: Session,
  { target, sources }: Debuggee,
  instructions: readonly DisassembledInstruction[],
  resolveSymbols: boolean,
): DebugProtocol.DisassembledInstruction[] {
  let last = "";
  return instructions.map(({ address, bytes, text, valid }) => {
    const linked = target.symbols.linkedOf(address);
    const row = linked === undefined ? undefined : target.symbols.lines?.rowOf(linked);
    const key = row === undefined ? last : `${row.file}:${row.line}`;
    const begins = key !== last;
    last = key;
    const symbol = resolveSymbols ? target.places.symbol(address) : undefined;
    const location = begins && row !== undefined ? sources.source(row.file) : undefined;
    return {
      address: toHex(address),
      instruction: text,
      ...(bytes.length === 0 ? {} : { instructionBytes: bytesText(bytes) }),
      ...(symbol === undefined ? {} : { symbol }),
      ...(location === undefined || row === undefined ? {} : { location, line: toClient(session, row.line) }),
      ...(valid ? {} : { presentationHint: "invalid" as const }),
    };
  });
}

function requireReference(text: string): MemoryPlace {
  const place = parseReference(text);
  if (place === undefined) throw new RequestError(`"${text}" is no memory reference`);
  return place;
}

function moved({ space, address }: MemoryPlace, by: number): MemoryPlace {
  const sum = address + BigInt(by);
  return { space, address: BigInt.asUintN(64, sum < 0n && space === "physical" ? 0n : sum) };
}

function addressOf({ space, address }: MemoryPlace): string {
  return space === "physical" ? physicalReference(address) : toHex(address);
}

function readAt({ target }: Debuggee, { space, address }: MemoryPlace, length: number): Uint8Array {
  if (space === "linear") return target.readLinear(address, length);
  if (!target.memory.isRam(Number(address))) return new Uint8Array();
  return target.memory.readBytes(Number(address), length);
}

function writeAt({ target }: Debuggee, { space, address }: MemoryPlace, bytes: Uint8Array): number {
  if (space === "linear") return target.writeLinear(address, bytes);
  target.writePhysical(Number(address), bytes);
  return bytes.length;
}

function fromBase64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new RequestError("the data to write is not base64");
  return new Uint8Array(Buffer.from(text, "base64"));
}
