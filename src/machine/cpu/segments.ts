/** Segment registers: descriptors, their checks, and the system segments (SDM vol. 3A, 3.4, 5.6 to 5.8, 7.2). */

import type { SegmentState } from "../startState";
import {
  LDTR,
  SEG_ACCESSED,
  SEG_CODE,
  SEG_CONFORMING,
  SEG_DB,
  SEG_DPL_SHIFT,
  SEG_G,
  SEG_L,
  SEG_P,
  SEG_S,
  SEG_TYPE,
  SEG_WRITABLE,
  TR,
} from "./attributes";
import type { Cpu } from "./cpu";
import { GP, NP, SS_FAULT } from "./fault";
import { CS, R_SEGMENT_BASE, SEGMENT_NAMES, SS } from "./registers";

/** A descriptor as read from a table. */
export interface Descriptor {
  readonly selector: number;
  /** Linear address of its first byte. */
  readonly address: bigint;
  readonly low: number;
  readonly high: number;
}

export function attributesOf(descriptor: Descriptor): number {
  return (descriptor.high >>> 8) & 0xf0ff;
}

export function dplOf(attributes: number): number {
  return (attributes >> SEG_DPL_SHIFT) & 3;
}

function baseOf(descriptor: Descriptor): number {
  return (descriptor.low >>> 16) | ((descriptor.high & 0xff) << 16) | (descriptor.high & 0xff000000) | 0;
}

/** The limit in bytes, scaled by G. */
export function limitOf(descriptor: Descriptor): number {
  const limit = (descriptor.low & 0xffff) | (descriptor.high & 0xf0000);
  return (attributesOf(descriptor) & SEG_G) !== 0 ? ((limit << 12) | 0xfff) >>> 0 : limit;
}

/** Reads the descriptor that a selector names. @throws #GP (or `vector`) where it lies beyond its table */
export function readDescriptor(c: Cpu, selector: number, vector = GP, ext = 0): Descriptor {
  const local = (selector & 4) !== 0;
  const base = local ? c.segmentBase(LDTR) : c.gdtBase;
  const limit = local ? c.limits[LDTR] : c.gdtLimit;
  const offset = selector & 0xfff8;
  if ((local && (c.attributes[LDTR] & SEG_P) === 0) || offset + 7 > limit) {
    const table = local ? "LDT" : "GDT";
    throw c.raise(
      vector,
      (selector & 0xfffc) | ext,
      `selector ${hex(selector)} is beyond the limit of the ${table}`,
    );
  }
  const address = base + BigInt(offset);
  return { selector, address, low: loadSystem(c, address), high: loadSystem(c, address + 4n) };
}

/** A 32-bit implicit supervisor load. */
export function loadSystem(c: Cpu, address: bigint): number {
  return c.mmu.systemLoad32(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)));
}

/** A 64-bit implicit supervisor load. */
export function loadSystem64(c: Cpu, address: bigint): bigint {
  const low = BigInt(loadSystem(c, address) >>> 0);
  return low | (BigInt(loadSystem(c, address + 4n) >>> 0) << 32n);
}

/** Sets the accessed bit of a code or data descriptor, as loading it does. */
function markAccessed(c: Cpu, descriptor: Descriptor): void {
  if ((descriptor.high & (SEG_ACCESSED << 8)) !== 0) return;
  writeType(c, descriptor, ((descriptor.high >>> 8) & 0xff) | SEG_ACCESSED);
}

function writeType(c: Cpu, descriptor: Descriptor, value: number): void {
  const at = descriptor.address + 5n;
  c.mmu.systemStore8(Number(BigInt.asIntN(32, at)), Number(BigInt.asIntN(32, at >> 32n)), value);
}

/** Fills the hidden part of a segment register. */
function take(c: Cpu, segment: number, selector: number, descriptor: Descriptor): void {
  c.selectors[segment] = selector;
  c.r[R_SEGMENT_BASE + 2 * segment] = baseOf(descriptor);
  c.r[R_SEGMENT_BASE + 2 * segment + 1] = 0;
  c.limits[segment] = limitOf(descriptor);
  c.attributes[segment] = attributesOf(descriptor) | SEG_ACCESSED;
}

/** MOV, POP, LDS and the like into ES, SS, DS, FS or GS (SDM vol. 2, MOV). */
export function loadSegment(c: Cpu, segment: number, selector: number): void {
  if (!c.protectedMode) {
    loadRealMode(c, segment, selector);
    return;
  }
  if (segment === SS) loadStackSegment(c, selector, c.cpl, GP, SS_FAULT);
  else if ((selector & 0xfffc) === 0) loadNull(c, segment, selector);
  else loadDataSegment(c, segment, selector);
  c.updateMode();
}

function loadRealMode(c: Cpu, segment: number, selector: number): void {
  c.selectors[segment] = selector;
  c.r[R_SEGMENT_BASE + 2 * segment] = selector << 4;
  c.r[R_SEGMENT_BASE + 2 * segment + 1] = 0;
  c.updateMode();
}

/** A null selector: legal until it is used (outside of 64-bit mode). Its base stays, as on Intel CPUs it is 0. */
export function loadNull(c: Cpu, segment: number, selector: number): void {
  c.selectors[segment] = selector;
  c.r[R_SEGMENT_BASE + 2 * segment] = 0;
  c.r[R_SEGMENT_BASE + 2 * segment + 1] = 0;
  c.limits[segment] = 0;
  c.attributes[segment] = 0;
}

function loadDataSegment(c: Cpu, segment: number, selector: number): void {
  const descriptor = readDescriptor(c, selector);
  const attributes = attributesOf(descriptor);
  const name = SEGMENT_NAMES[segment].toUpperCase();
  const error = selector & 0xfffc;
  const code = (attributes & SEG_CODE) !== 0;
  if ((attributes & SEG_S) === 0 || (code && (attributes & SEG_WRITABLE) === 0)) {
    throw c.gp(`${name}: selector ${hex(selector)} names neither data nor readable code`, error);
  }
  const conforming = code && (attributes & SEG_CONFORMING) !== 0;
  if (!conforming && Math.max(c.cpl, selector & 3) > dplOf(attributes)) {
    throw c.gp(`${name}: selector ${hex(selector)} names a segment of higher privilege`, error);
  }
  if ((attributes & SEG_P) === 0)
    throw c.raise(NP, error, `${name}: selector ${hex(selector)} is not present`);
  markAccessed(c, descriptor);
  take(c, segment, selector, descriptor);
}

/**
 * Loads SS for a privilege level: MOV and POP (#GP, #SS), a stack switch or a return to an outer level (#TS or #GP).
 * In 64-bit mode a null selector is legal below CPL 3 (SDM vol. 2, MOV).
 */
export function loadStackSegment(
  c: Cpu,
  selector: number,
  cpl: number,
  vector: number,
  absent: number,
): void {
  const error = selector & 0xfffc;
  if (error === 0) {
    if (!c.code64 || cpl === 3 || (selector & 3) !== cpl)
      throw c.raise(vector, 0, "SS: the selector is null");
    loadNull(c, SS, selector);
    return;
  }
  const descriptor = readDescriptor(c, selector, vector);
  const attributes = attributesOf(descriptor);
  if ((attributes & (SEG_S | SEG_CODE | SEG_WRITABLE)) !== (SEG_S | SEG_WRITABLE)) {
    throw c.raise(vector, error, `SS: selector ${hex(selector)} does not name writable data`);
  }
  if ((selector & 3) !== cpl || dplOf(attributes) !== cpl) {
    throw c.raise(vector, error, `SS: selector ${hex(selector)} is not of privilege level ${cpl}`);
  }
  if ((attributes & SEG_P) === 0)
    throw c.raise(absent, error, `SS: selector ${hex(selector)} is not present`);
  markAccessed(c, descriptor);
  take(c, SS, selector, descriptor);
}

/** Checks a code descriptor for a far transfer; the privilege rules are the caller's. */
export function checkCode(c: Cpu, descriptor: Descriptor, vector = GP, ext = 0): void {
  const attributes = attributesOf(descriptor);
  const error = (descriptor.selector & 0xfffc) | ext;
  if ((attributes & (SEG_S | SEG_CODE)) !== (SEG_S | SEG_CODE)) {
    throw c.raise(vector, error, `CS: selector ${hex(descriptor.selector)} does not name code`);
  }
  if (c.longMode && (attributes & (SEG_L | SEG_DB)) === (SEG_L | SEG_DB)) {
    throw c.raise(vector, error, `CS: selector ${hex(descriptor.selector)} has both L and D set`);
  }
  if ((attributes & SEG_P) === 0) {
    throw c.raise(NP, error, `CS: selector ${hex(descriptor.selector)} is not present`);
  }
}

/** Takes a checked code descriptor into CS at a privilege level. */
export function takeCode(c: Cpu, descriptor: Descriptor, cpl: number): void {
  markAccessed(c, descriptor);
  take(c, CS, (descriptor.selector & 0xfffc) | cpl, descriptor);
  if (cpl !== c.cpl) c.setCpl(cpl);
  c.updateMode();
}

/** A code or data segment as a fixed descriptor gives it: SYSCALL and SYSRET. */
export function takeFixed(c: Cpu, segment: number, state: SegmentState): void {
  c.selectors[segment] = state.selector;
  c.setPair(R_SEGMENT_BASE + 2 * segment, state.base);
  c.limits[segment] = state.limit;
  c.attributes[segment] = state.attributes;
}

/** After a return to an outer level: data segments that the new level may not use become null (SDM 5.8.6). */
export function dropPrivilegedSegments(c: Cpu): void {
  for (const segment of [0, 3, 4, 5]) {
    const attributes = c.attributes[segment];
    const conforming = (attributes & (SEG_CODE | SEG_CONFORMING)) === (SEG_CODE | SEG_CONFORMING);
    if ((attributes & SEG_P) !== 0 && !conforming && dplOf(attributes) < c.cpl) {
      c.selectors[segment] = 0;
      c.attributes[segment] = 0;
      if (!c.longMode) loadNull(c, segment, 0);
    }
  }
  c.updateMode();
}

const TYPE_LDT = 2;
const TYPE_TSS_AVAILABLE = 9;
const TYPE_TSS16_AVAILABLE = 1;
const TYPE_BUSY = 2;

/** LLDT (SDM vol. 2). */
export function loadLdt(c: Cpu, selector: number): void {
  if ((selector & 0xfffc) === 0) {
    loadNull(c, LDTR, selector);
    return;
  }
  loadSystemSegment(c, LDTR, selector, (type) => type === TYPE_LDT, "an LDT");
}

/** LTR (SDM vol. 2): takes an available TSS and marks it busy. */
export function loadTaskRegister(c: Cpu, selector: number): void {
  if ((selector & 0xfffc) === 0) throw c.gp("LTR: the selector is null");
  const available = (type: number) =>
    type === TYPE_TSS_AVAILABLE || (type === TYPE_TSS16_AVAILABLE && !c.longMode);
  const descriptor = loadSystemSegment(c, TR, selector, available, "an available TSS");
  writeType(c, descriptor, ((descriptor.high >>> 8) & 0xff) | TYPE_BUSY);
  c.attributes[TR] |= TYPE_BUSY;
}

function loadSystemSegment(
  c: Cpu,
  segment: number,
  selector: number,
  typeAllowed: (type: number) => boolean,
  what: string,
): Descriptor {
  const error = selector & 0xfffc;
  if ((selector & 4) !== 0) throw c.gp(`selector ${hex(selector)} is not of the GDT`, error);
  const descriptor = readDescriptor(c, selector);
  const attributes = attributesOf(descriptor);
  if ((attributes & SEG_S) !== 0 || !typeAllowed(attributes & SEG_TYPE)) {
    throw c.gp(`selector ${hex(selector)} does not name ${what}`, error);
  }
  if ((attributes & SEG_P) === 0) throw c.raise(NP, error, `selector ${hex(selector)} is not present`);
  let upper = 0;
  if (c.longMode) {
    if ((selector & 0xfff8) + 15 > c.gdtLimit)
      throw c.gp(`selector ${hex(selector)} is beyond the limit of the GDT`, error);
    upper = loadSystem(c, descriptor.address + 8n);
    const base = (BigInt(upper >>> 0) << 32n) | BigInt(baseOf(descriptor) >>> 0);
    if (!c.isCanonicalAddress(base))
      throw c.gp(`the base of selector ${hex(selector)} is not canonical`, error);
  }
  take(c, segment, selector, descriptor);
  c.r[R_SEGMENT_BASE + 2 * segment + 1] = upper;
  c.attributes[segment] = attributes;
  return descriptor;
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
