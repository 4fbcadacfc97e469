/** The part of the WebAssembly JavaScript API that the machine uses: the engine knows no host's types. */

export interface WasmMemory {
  readonly buffer: ArrayBufferLike;
  /** @param pages of 64 KiB */
  grow(pages: number): number;
}

/** Any function that WebAssembly exports. */
export type WasmFunction = (...values: number[]) => number;

export interface WasmTable {
  readonly length: number;
  set(index: number, value: WasmFunction | null): void;
}

/** A compiled module; opaque. */
export type WasmModule = object;

type Imports = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

declare const WebAssembly: {
  Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
  Table: new (descriptor: { element: "anyfunc"; initial: number }) => WasmTable;
  Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  Instance: new (
    module: WasmModule,
    imports: Imports,
  ) => { readonly exports: Readonly<Record<string, WasmFunction>> };
};

export const WASM_PAGE = 65536;

/**
 * A growing memory. Shared, because views of shared memory stay valid when it grows.
 * @param initial bytes at the start, @param maximum bytes at most; multiples of `WASM_PAGE`
 */
export function newMemory(initial: number, maximum: number): WasmMemory {
  return new WebAssembly.Memory({
    initial: initial / WASM_PAGE,
    maximum: maximum / WASM_PAGE,
    shared: true,
  });
}

/** A table of functions that modules call each other through. */
export function newTable(length: number): WasmTable {
  return new WebAssembly.Table({ element: "anyfunc", initial: length });
}

export function compileModule(bytes: Uint8Array<ArrayBuffer>): WasmModule {
  return new WebAssembly.Module(bytes);
}

/** @param imports what the module's imports of the namespace "m" are */
export function instantiate(
  module: WasmModule,
  imports: Readonly<Record<string, unknown>>,
): Readonly<Record<string, WasmFunction>> {
  return new WebAssembly.Instance(module, { m: imports }).exports;
}
