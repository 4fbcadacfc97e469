/**
 * The loop around regions, in WebAssembly: as long as the address at which one leaves is in the jump cache, the next
 * one runs without a detour through JavaScript. Also the conditions whose kind of flags is only known at run time.
 *
 * An entry of the jump cache is an address, the epoch in which it was found, and the target: a region's place in the
 * table and the block in it.
 */
import { ARENA_JUMP_CACHE, type PhysicalMemory } from "../../memory";
import {
  compileModule,
  instantiate,
  newTable,
  WASM_PAGE,
  type WasmFunction,
  type WasmModule,
  type WasmTable,
} from "../../wasm";
import { R_EPOCH, R_RIP } from "../registers";
import { assemble, assembleHead, body, Code, I32, I64, type ModuleParts } from "./assembler";
import { type FlagLocals, KINDS, pushCondition, pushStatusFlags } from "./conditions";
import { HIGH_LOCALS, highHalf } from "./highHalf";
import { stateOffset, TYPE_CONDITION, TYPE_HIGH, TYPE_REGION } from "./locals";

/** Entries of the jump cache, 16 bytes each. */
const JUMP_ENTRIES = 4096;
const JUMP_SHIFT = 4;
const JUMP_EPOCH = 8;
const JUMP_TARGET = 12;
/** Of a target: the bits that name the block. */
export const BLOCK_BITS = 7;
const BLOCK_MASK = (1 << BLOCK_BITS) - 1;

/** The types that all modules declare, in the order of their indexes. */
const TYPES: ModuleParts["types"] = [
  { parameters: [I32, I32], results: [I32] },
  { parameters: [I32, I64, I64, I64], results: [I32] },
  { parameters: [I64, I64], results: [I64] },
];
/** Pages of the arena's memory, as every module declares them. */
const MEMORY = { initial: 1, maximum: 2 ** 31 / WASM_PAGE };

/** By their places among the imports, behind the conditions. */
const STATUS = "status";
const HIGH_UNSIGNED = "highUnsigned";
const HIGH_SIGNED = "highSigned";
const CONDITION_NAMES = [0, 2, 4, 6, 8, 10, 12, 14].map((condition) => `condition${condition}`);

/** Runs the closure of an instruction; what it returns is 0, or what the region returns. */
export type Step = (site: number, left: number) => number;

export class Driver {
  readonly table: WasmTable;
  /** What regions import. */
  private readonly imports: Readonly<Record<string, unknown>>;
  private readonly exports: Readonly<Record<string, WasmFunction>>;
  private readonly jumps: Int32Array;

  /** @param regions how many regions there may be at once */
  constructor(memory: PhysicalMemory, step: Step, regions: number) {
    this.table = newTable(regions);
    this.jumps = memory.words(ARENA_JUMP_CACHE, JUMP_ENTRIES * 4);
    const { arena } = memory;
    this.exports = instantiate(driverModule(), { memory: arena, table: this.table, step });
    const { run: _run, ...functions } = this.exports;
    this.imports = { memory: arena, ...functions };
  }

  /**
   * Runs the target, and what it leads to.
   * @param left instructions that may be retired, at least those of the target's block
   * @returns instructions that are left; less than 0 its complement, where the run loop has to look before it goes on
   */
  run(target: number, left: number): number {
    return this.exports.run(target, left);
  }

  /**
   * Puts the functions of regions into the table: of several at once, since a module costs more than a function.
   * @param bodies by the regions' slots
   */
  add(bodies: ReadonlyMap<number, Uint8Array>): void {
    const functions = [...bodies.keys()].map((slot) => ({ name: `region${slot}`, type: TYPE_REGION }));
    const head = assembleHead({
      types: TYPES,
      imports: REGION_IMPORTS,
      functions,
      memory: MEMORY,
      table: false,
    });
    const module = compileModule(assemble(head, [...bodies.values()]));
    const instance = instantiate(module, this.imports);
    for (const slot of bodies.keys()) this.table.set(slot, instance[`region${slot}`]);
  }

  /** Has the driver find a target at an address. */
  publish(low: number, high: number, epoch: number, target: number): void {
    const { jumps } = this;
    const at = ((low ^ (low >>> 12)) & (JUMP_ENTRIES - 1)) << 2;
    jumps[at] = low;
    jumps[at + 1] = high;
    jumps[at + 2] = epoch;
    jumps[at + 3] = target;
  }

  /** Forgets what was published at an address. */
  withdraw(low: number, high: number): void {
    const { jumps } = this;
    const at = ((low ^ (low >>> 12)) & (JUMP_ENTRIES - 1)) << 2;
    // No epoch is less than 0.
    if (jumps[at] === low && jumps[at + 1] === high) jumps[at + 2] = -1;
  }
}

/** The number of a block in a region, as the jump cache and block have it. */
export function targetOf(slot: number, block: number): number {
  return (slot << BLOCK_BITS) | block;
}

/** Names of a region's imported functions, in the order of their indexes. */
const REGION_IMPORTS: ModuleParts["imports"] = [
  { name: "step", type: TYPE_REGION },
  ...CONDITION_NAMES.map((name) => ({ name, type: TYPE_CONDITION })),
  { name: STATUS, type: TYPE_CONDITION },
  { name: HIGH_UNSIGNED, type: TYPE_HIGH },
  { name: HIGH_SIGNED, type: TYPE_HIGH },
];

let compiled: WasmModule | undefined;

/** The same for all machines. */
function driverModule(): WasmModule {
  if (compiled !== undefined) return compiled;
  const functions = [
    { name: "run", type: TYPE_REGION, body: body([[1, I32]], runCode()) },
    { name: "step", type: TYPE_REGION, body: body([], new Code().get(0).get(1).call(0)) },
    ...CONDITION_NAMES.map((name, index) => ({
      name,
      type: TYPE_CONDITION,
      body: ofFlags((code, kind) => pushCondition(code, PARAMETERS, kind, 2 * index)),
    })),
    {
      name: STATUS,
      type: TYPE_CONDITION,
      body: ofFlags((code, kind) => pushStatusFlags(code, PARAMETERS, kind)),
    },
    { name: HIGH_UNSIGNED, type: TYPE_HIGH, body: body(HIGH_LOCALS, highHalf(false)) },
    { name: HIGH_SIGNED, type: TYPE_HIGH, body: body(HIGH_LOCALS, highHalf(true)) },
  ];
  const imports = [{ name: "step", type: TYPE_REGION }];
  const head = assembleHead({ types: TYPES, imports, functions, memory: MEMORY, table: true });
  compiled = compileModule(
    assemble(
      head,
      functions.map((one) => one.body),
    ),
  );
  return compiled;
}

/** Parameters: target, left. */
function runCode(): Code {
  const [TARGET, LEFT, PLACE] = [0, 1, 2];
  const code = new Code();
  const again = code.depth;
  code.loop();
  code.get(TARGET).i32(BLOCK_MASK).op("i32_and").get(LEFT);
  code.get(TARGET).i32(BLOCK_BITS).op("i32_shr_u").callIndirect(TYPE_REGION);
  code.tee(LEFT).i32(0).op("i32_lt_s").if().get(LEFT).op("return", "end");
  const low = stateOffset(R_RIP);
  code.i32(0).access("i32_load", low).i32(0).access("i32_load", low).i32(12).op("i32_shr_u", "i32_xor");
  code
    .i32(JUMP_ENTRIES - 1)
    .op("i32_and")
    .i32(JUMP_SHIFT)
    .op("i32_shl")
    .tee(PLACE);
  code.access("i64_load", ARENA_JUMP_CACHE).i32(0).access("i64_load", low).op("i64_eq").if();
  code.get(PLACE).access("i32_load", ARENA_JUMP_CACHE + JUMP_EPOCH);
  code.i32(0).access("i32_load", stateOffset(R_EPOCH)).op("i32_eq").if();
  code
    .get(PLACE)
    .access("i32_load", ARENA_JUMP_CACHE + JUMP_TARGET)
    .set(TARGET)
    .br(again);
  return code.op("end", "end", "end").get(LEFT);
}

/** Parameters: kind, result, first and second operand. */
const PARAMETERS: FlagLocals = { result: 1, a: 2, b: 3, bits: undefined };

function ofFlags(push: (code: Code, kind: number) => void): Uint8Array {
  const code = new Code();
  for (const kind of KINDS) {
    code.get(0).i32(kind).op("i32_eq").if();
    push(code, kind);
    code.op("return", "end");
  }
  return body([], code.op("unreachable"));
}
