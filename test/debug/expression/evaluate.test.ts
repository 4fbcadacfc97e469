import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Environment } from "../../../src/debug/expression/environment";
import { ExpressionError } from "../../../src/debug/expression/error";
import { Evaluator } from "../../../src/debug/expression/evaluate";
import { parseCondition } from "../../../src/debug/expression/fields";
import { format, listParts } from "../../../src/debug/expression/format";
import { parseExpression } from "../../../src/debug/expression/parser";
import {
  CTypes,
  computed,
  littleEndian,
  numberOf,
  type Value,
  withoutPlace,
} from "../../../src/debug/expression/value";
import type { CType, StructType } from "../../../src/symbols/types";

const types = new CTypes(8);
const MEMORY = 0x1000n;

/** struct pair { int first; union { unsigned char low; unsigned int whole; }; unsigned a:3, b:5; char name[4]; } */
const pair: StructType = {
  kind: "struct",
  name: "pair",
  size: 16,
  declaration: false,
  members: [
    { name: "first", type: types.int, offset: 0 },
    {
      name: undefined,
      offset: 4,
      type: {
        kind: "union",
        name: undefined,
        size: 4,
        declaration: false,
        members: [
          { name: "low", type: types.byte, offset: 0 },
          { name: "whole", type: types.unsignedInt, offset: 0 },
        ],
      },
    },
    { name: "a", type: types.unsignedInt, offset: 8, bitOffset: 0, bitSize: 3 },
    { name: "b", type: types.unsignedInt, offset: 8, bitOffset: 3, bitSize: 5 },
    { name: "name", type: { kind: "array", element: types.character, count: 4, size: 4 }, offset: 12 },
  ],
};

/** A page of memory with two pairs at its start, and an array of words behind them. */
function world() {
  const memory = new Uint8Array(4096);
  memory.set([0xff, 0xff, 0xff, 0xff, 0x34, 0x12, 0, 0, 0b10101_101, 0, 0, 0, 0x68, 0x69, 0, 0], 0);
  memory.set([7, 0, 0, 0], 16);
  for (let i = 0; i < 8; i++) memory[64 + 8 * i] = i * 3;
  const registers = new Map([["rax", 5n]]);
  const read = (address: bigint, length: number) => {
    const at = Number(address - MEMORY);
    return at >= 0 && at + length <= memory.length ? memory.slice(at, at + length) : undefined;
  };
  const environment: Environment = {
    types,
    name: (name) => variables.get(name)?.(),
    type: (name) => (name === "struct pair" ? pair : name === "u64" ? types.unsignedLong : undefined),
    register: (name) => {
      const value = registers.get(name);
      return value === undefined
        ? undefined
        : { ...computed(types.unsignedLong, value), lvalue: { kind: "register", name } };
    },
    read,
    write: (address, bytes) => memory.set(bytes, Number(address - MEMORY)),
    writeRegister: (name, value) => registers.set(name, value),
  };
  const evaluator = new Evaluator(environment, true);
  const words: CType = { kind: "array", element: types.unsignedLong, count: 8, size: 64 };
  const variables = new Map<string, () => Value>([
    ["p", () => computed(types.pointerTo(pair), MEMORY)],
    ["one", () => evaluator.inMemory(pair, MEMORY)],
    ["held", () => withoutPlace(pair, () => memory.slice(0, 16))],
    ["words", () => evaluator.inMemory(words, MEMORY + 64n)],
    ["nowhere", () => computed(types.pointerTo(types.int), 0xdead0000n)],
    ["c", () => computed(types.character, -1n)],
    ["u", () => computed(types.unsignedInt, 0xffffffffn)],
  ]);
  const value = (text: string) => evaluator.evaluate(parseExpression(text, (name) => name === "u64"));
  return { memory, value, number: (text: string) => numberOf(value(text)), evaluator, registers };
}

describe("expressions by C's rules", () => {
  test.each([
    ["1 + 2 * 3", 7n],
    ["(1 + 2) * 3", 9n],
    ["0x10 | 0b11 | 010", 0x1bn],
    ["'A' + 1", 66n],
    ["-7 / 2", -3n],
    ["-7 % 2", -1n],
    ["1 << 4 >> 2", 4n],
    ["1 ? 2 : 3", 2n],
    ["!0 && 2 > 1", 1n],
    ["~0", -1n],
    ["~0u", 0xffffffffn],
    ["-1 < 0u", 0n],
    ["c == -1", 1n],
    ["u + 1", 0n],
    ["u + 1l", 0x100000000n],
    ["(unsigned char)0x1ff", 255n],
    ["(u64)c", 0xffffffffffffffffn],
    ["sizeof(struct pair)", 16n],
    ["sizeof(struct pair *)", 8n],
    ["2147483647 + 1", -2147483648n],
    ["2147483648 + 0", 2147483648n],
    ["0x80000000 - 1", 0x7fffffffn],
    ["-1 < 0x80000000", 0n],
    ["-1 < 4294967295", 1n],
    ["'\\xff'", -1n],
    ["1_000", 1000n],
    ["$rax * 2", 10n],
    ["p->first", -1n],
    ["(*p).low", 0x34n],
    ["p->whole", 0x1234n],
    ["one.a", 5n],
    ["one.b", 21n],
    ["held.a", 5n],
    ["held.b", 21n],
    ["held.whole", 0x1234n],
    ["p[1].first", 7n],
    ["&p[1] - p", 1n],
    ["(char *)&p[1] - (char *)p", 16n],
    ["words[2]", 6n],
    ["*(words + 3)", 9n],
    ["*&words[4]", 12n],
    ["(words @ 1)[0][1]", 3n],
    ["((struct pair *)0x1010)->first", 7n],
  ])("%s is %s", (text, expected) => {
    expect(world().number(text)).toBe(expected);
  });

  test.each([
    ["", "there is no expression"],
    ["1 +", "the expression ends too early"],
    ["1 2", '"2" at position 3 is not expected there'],
    ["f(1)", "functions cannot be called in expressions"],
    ["missing", 'there is no variable or symbol "missing" here'],
    ["$nope", "there is no register $nope here"],
    ["1 / 0", "a division by zero"],
    ["*nowhere", "0xdead0000 is not mapped"],
    ["one.nothing", 'struct pair has no member "nothing"'],
    ["&one.a", "a bit-field has no address"],
    ["&(1 + 1)", "only what is in memory has an address"],
    ["1 << 40", "int cannot be shifted by 40 bits"],
    ["(struct nothing *)0", 'there is no type "struct nothing"'],
    ["0x_", '"0x_" at position 1 is no integer'],
    ["'\\x'", "\\x at position 1 is no character"],
    ["1++", "++ at position 2 is not supported"],
    ["089", '"089" at position 1 is no integer'],
    ["0x1ffffffffffffffff", "0x1ffffffffffffffff has more than 64 bits"],
  ])("%j is refused: %s", (text, sentence) => {
    expect(() => world().number(text)).toThrow(sentence);
  });

  test("assignments change memory, bit-fields alone, and registers", () => {
    const { value, number, memory, registers } = world();
    value("p->first = 12");
    expect(memory[0]).toBe(12);
    value("one.a = 2");
    expect([number("one.a"), number("one.b")]).toEqual([2n, 21n]);
    value("one.b += 3");
    expect(number("one.b")).toBe(24n);
    value("$rax = 0x55");
    expect(registers.get("rax")).toBe(0x55n);
    expect(() => value("1 = 2")).toThrow("this value has no place");
  });

  test("conditions change nothing", () => {
    const { evaluator } = world();
    const strict = new Evaluator((evaluator as unknown as { environment: Environment }).environment, false);
    expect(() => strict.truth(parseExpression("$rax = 1"))).toThrow("for comparing write ==");
  });

  test("values are shown as C writes them, and their parts can be asked for again by name", () => {
    const { value, evaluator, number } = world();
    const options = { hex: false, nameOf: () => undefined, textAt: () => undefined };
    expect(format(value("one"), options)).toBe(
      "{first = -1, {low = 52 '4', whole = 4660}, a = 5, b = 21, name = \"hi\"}",
    );
    expect(format(value("words"), options)).toBe("[8] {0, 3, 6, 9, 12, 15, ...}");
    expect(format(value("words"), { ...options, hex: true })).toContain("0xf");
    expect(format(value("nowhere[0]"), options)).toBe("<0xdead0000 is not mapped>");
    const parts = listParts(value("words"), evaluator, "words", 5, 2);
    expect(parts.map(({ name }) => name)).toEqual(["[5]", "[6]"]);
    for (const part of [...parts, ...listParts(value("p"), evaluator, "p", 0, 5)]) {
      if (part.evaluateName === undefined || part.name.startsWith("{") || part.name === "name") continue;
      expect(number(part.evaluateName)).toBe(numberOf(part.value));
    }
  });

  test("64-bit arithmetic agrees with bigints cut to 64 bits", () => {
    const { number } = world();
    const value = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(value, value, fc.constantFrom("+", "-", "*", "&", "|", "^"), (a, b, operator) => {
        const expected = { "+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b }[
          operator
        ]!;
        expect(number(`${a}ul ${operator} ${b}ul`)).toBe(BigInt.asUintN(64, expected));
      }),
      { seed: 20130124, numRuns: 300 },
    );
  });

  test("any text is an expression or an ExpressionError, at once", () => {
    const { value } = world();
    const piece = fc.constantFrom(
      "(",
      ")",
      "[",
      "]",
      "*",
      "&",
      "->",
      ".",
      "p",
      "one",
      "words",
      "$rax",
      "1",
      "0x",
      "'",
      '"',
      " ",
      "sizeof",
      "struct",
      "@",
      "?",
      ":",
      "=",
      "<<",
      "-",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((all) => all.join("")),
        ),
        (text) => {
          try {
            value(text);
          } catch (error) {
            expect(error).toBeInstanceOf(ExpressionError);
          }
        },
      ),
      { seed: 20130124, numRuns: 3000 },
    );
    expect(() => value("(".repeat(900))).toThrow("nested too deeply");
    expect(() => value("1+".repeat(4000))).toThrow("more than 1000 parts");
    expect(() => value("1".repeat(20_000))).toThrow("longer than");
  });
});

describe("conditions over fields", () => {
  const event = { address: 0x200000000n, write: true, mode: "PAE" };
  const holds = (text: string) =>
    parseCondition(text, Object.keys(event))((name) => event[name as keyof typeof event]);

  test.each([
    ["address >= 0x100000000 && write", true],
    ["!write || address == 0", false],
    ['mode == "PAE"', true],
    ['mode != "PAE"', false],
    ["address >> 33 == 1 ? write : 0", true],
  ])("%s: %s", (text, expected) => {
    expect(holds(text)).toBe(expected);
  });

  test.each([
    ["speed > 1", 'there is no field "speed"'],
    ["*address", "can use their fields"],
    ["address = 1", "for comparing write =="],
  ])("%s is refused: %s", (text, sentence) => {
    expect(() => parseCondition(text, Object.keys(event))).toThrow(sentence);
  });

  test("a text is no number", () => {
    expect(() => holds("mode == 3")).toThrow("a text can only be compared with a text");
  });
});

test("bytes are read little endian", () => {
  expect(littleEndian(Uint8Array.of(0x78, 0x56, 0x34, 0x12))).toBe(0x12345678n);
});
