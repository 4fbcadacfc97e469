/** Writes WebAssembly modules of one function (WebAssembly core specification 2.0, chapter 5, "Binary Format"). */

export const I32 = 0x7f;
export const I64 = 0x7e;
const FUNCREF = 0x70;
const VOID = 0x40;

/** Instructions without immediates, by their names in the specification. */
export const OP = {
  i32_eqz: 0x45,
  i32_eq: 0x46,
  i32_ne: 0x47,
  i32_lt_s: 0x48,
  i32_lt_u: 0x49,
  i32_le_s: 0x4c,
  i32_le_u: 0x4d,
  i64_eqz: 0x50,
  i64_eq: 0x51,
  i64_ne: 0x52,
  i64_lt_s: 0x53,
  i64_lt_u: 0x54,
  i64_le_s: 0x57,
  i64_le_u: 0x58,
  i32_popcnt: 0x69,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_mul: 0x6c,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_xor: 0x73,
  i32_shl: 0x74,
  i32_shr_s: 0x75,
  i32_shr_u: 0x76,
  i32_rotl: 0x77,
  i32_rotr: 0x78,
  i64_clz: 0x79,
  i64_ctz: 0x7a,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_s: 0x87,
  i64_shr_u: 0x88,
  i64_rotl: 0x89,
  i64_rotr: 0x8a,
  i32_wrap_i64: 0xa7,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  i32_extend8_s: 0xc0,
  i32_extend16_s: 0xc1,
  i64_extend32_s: 0xc4,
  select: 0x1b,
  drop: 0x1a,
  return: 0x0f,
  else: 0x05,
  end: 0x0b,
  unreachable: 0x00,
} as const;

/** Loads and stores, with the alignment of their natural size. */
export const ACCESS = {
  i32_load: [0x28, 2],
  i64_load: [0x29, 3],
  i32_load8_s: [0x2c, 0],
  i32_load16_s: [0x2e, 1],
  i32_store: [0x36, 2],
  i64_store: [0x37, 3],
  i32_store8: [0x3a, 0],
  i32_store16: [0x3b, 1],
} as const;

export type Access = keyof typeof ACCESS;
export type Operation = keyof typeof OP;
/** What a structured instruction leaves on the stack. */
export type Result = typeof I32 | typeof I64 | typeof VOID;

/** Bytes of a 32-bit number in LEB128 at most. */
const MOST_LEB = 5;

/** The instructions of a function. Methods append one instruction each, under its name in the text format. */
export class Code {
  private length = 0;
  /** Structured instructions that are open. */
  depth = 0;

  /** @param bytes where it is written to, as long as there is room */
  constructor(private bytes = new Uint8Array(256)) {}

  op(...names: Operation[]): this {
    for (const name of names) {
      if (name === "end") this.depth--;
      this.byte(OP[name]);
    }
    return this;
  }

  i32(value: number): this {
    this.byte(0x41);
    this.signed(value | 0);
    return this;
  }

  /** @param value a safe integer or a bigint, read as signed */
  i64(value: number | bigint): this {
    this.byte(0x42);
    const wide = BigInt.asIntN(64, BigInt(value));
    if (wide >= -0x80000000n && wide <= 0x7fffffffn) this.signed(Number(wide));
    else this.signedWide(wide);
    return this;
  }

  get(local: number): this {
    return this.indexed(0x20, local);
  }

  set(local: number): this {
    return this.indexed(0x21, local);
  }

  tee(local: number): this {
    return this.indexed(0x22, local);
  }

  /** Loads or stores; the address is on the stack (below the value that is stored). */
  access(name: Access, offset: number): this {
    const [code, align] = ACCESS[name];
    this.byte(code);
    this.byte(align);
    this.unsigned(offset);
    return this;
  }

  block(result: Result = VOID): this {
    return this.open(0x02, result);
  }

  loop(result: Result = VOID): this {
    return this.open(0x03, result);
  }

  if(result: Result = VOID): this {
    return this.open(0x04, result);
  }

  /** Branches to a structured instruction by the depth that it has (`depth` before it was opened). */
  br(target: number): this {
    return this.indexed(0x0c, this.depth - 1 - target);
  }

  brIf(target: number): this {
    return this.indexed(0x0d, this.depth - 1 - target);
  }

  /** @param targets depths; the last is for every other index */
  brTable(targets: readonly number[]): this {
    this.byte(0x0e);
    this.unsigned(targets.length - 1);
    for (const target of targets) this.unsigned(this.depth - 1 - target);
    return this;
  }

  call(func: number): this {
    return this.indexed(0x10, func);
  }

  /** Calls through table 0. */
  callIndirect(type: number): this {
    this.indexed(0x11, type);
    this.byte(0);
    return this;
  }

  /** What has been written. */
  finished(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.makeRoom(1);
    this.bytes[this.length++] = value;
  }

  append(bytes: Uint8Array | readonly number[]): void {
    if (this.length + bytes.length > this.bytes.length) this.makeRoom(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** LEB128. */
  unsigned(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  private signed(value: number): void {
    let rest = value;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  private signedWide(value: bigint): void {
    let rest = value;
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  private open(code: number, result: Result): this {
    this.depth++;
    this.byte(code);
    this.byte(result);
    return this;
  }

  private indexed(code: number, index: number): this {
    this.byte(code);
    this.unsigned(index);
    return this;
  }

  private makeRoom(more: number): void {
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length + more));
    larger.set(this.finished());
    this.bytes = larger;
  }
}

/** A function's type. */
export interface Signature {
  readonly parameters: readonly (typeof I32 | typeof I64)[];
  readonly results: readonly (typeof I32 | typeof I64)[];
}

/** A function that is imported from the namespace "m"; its index is its place in the list. */
export interface ImportedFunction {
  readonly name: string;
  readonly type: number;
}

/** A function of a module. Its index comes behind those of the imported ones. */
export interface DefinedFunction {
  readonly type: number;
  /** The name under which it is exported. */
  readonly name: string;
}

/** All of a module but what its functions do. */
export interface ModuleParts {
  readonly types: readonly Signature[];
  readonly imports: readonly ImportedFunction[];
  readonly functions: readonly DefinedFunction[];
  /** Pages of 64 KiB of the imported shared memory "memory". */
  readonly memory: { readonly initial: number; readonly maximum: number };
  /** Whether table 0, "table", is imported. */
  readonly table: boolean;
}

/** The bytes of a module that come before the bodies of its functions. */
export function assembleHead(parts: ModuleParts): Uint8Array {
  const out = new Code();
  out.append([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  section(out, 1, parts.types.length, (code) => {
    for (const { parameters, results } of parts.types) {
      code.byte(0x60);
      vector(code, parameters);
      vector(code, results);
    }
  });
  section(out, 2, parts.imports.length + (parts.table ? 2 : 1), (code) => imports(code, parts));
  section(out, 3, parts.functions.length, (code) => {
    for (const { type } of parts.functions) code.unsigned(type);
  });
  section(out, 7, parts.functions.length, (code) => {
    parts.functions.forEach(({ name }, index) => {
      text(code, name);
      code.byte(0);
      code.unsigned(parts.imports.length + index);
    });
  });
  return out.finished();
}

/**
 * What a function does, as a module has it.
 * @param locals the number of locals of each type, in this order, behind the parameters
 * @param code without the final `end`
 */
export function body(
  locals: readonly (readonly [count: number, type: typeof I32 | typeof I64])[],
  code: Code,
): Uint8Array {
  const out = new Code(new Uint8Array(16 + 4 * locals.length + code.finished().length));
  out.unsigned(locals.length);
  for (const [count, type] of locals) {
    out.unsigned(count);
    out.byte(type);
  }
  out.append(code.finished());
  out.byte(OP.end);
  return out.finished();
}

/** A module's bytes. @param bodies of its functions, in their order */
export function assemble(head: Uint8Array, bodies: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const total = bodies.reduce((sum, bytes) => sum + bytes.length + MOST_LEB, 0);
  const contents = new Code(new Uint8Array(MOST_LEB + total));
  contents.unsigned(bodies.length);
  for (const bytes of bodies) vector(contents, bytes);
  const out = new Code(new Uint8Array(head.length + 1 + MOST_LEB + total));
  out.append(head);
  out.byte(10);
  vector(out, contents.finished());
  return out.finished();
}

function imports(code: Code, { imports: functions, memory, table }: ModuleParts): void {
  for (const { name, type } of functions) {
    text(code, "m");
    text(code, name);
    code.byte(0);
    code.unsigned(type);
  }
  text(code, "m");
  text(code, "memory");
  // Shared, with a maximum.
  code.append([2, 3]);
  code.unsigned(memory.initial);
  code.unsigned(memory.maximum);
  if (!table) return;
  text(code, "m");
  text(code, "table");
  code.append([1, FUNCREF, 0, 1]);
}

function section(out: Code, id: number, count: number, write: (code: Code) => void): void {
  const contents = new Code();
  contents.unsigned(count);
  write(contents);
  out.byte(id);
  vector(out, contents.finished());
}

function vector(code: Code, bytes: Uint8Array | readonly number[]): void {
  code.unsigned(bytes.length);
  code.append(bytes);
}

function text(code: Code, name: string): void {
  vector(
    code,
    Array.from(name, (character) => character.charCodeAt(0)),
  );
}
