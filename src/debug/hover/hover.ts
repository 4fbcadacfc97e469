/** What a text under the cursor stands for: a register, a symbol, an entry, an address; as markdown. */
import { decodeEntry } from "../../paging/entry";
import { explainWalk } from "../../paging/explain";
import { ENTRY_NAMES } from "../../paging/layout";
import { bareType, typeName } from "../../symbols/types";
import { namesOfBits } from "../../target/registerBits";
import { findRegister } from "../../target/registers";
import { hex64 } from "../../target/values";
import type { Debuggee } from "../debuggee";
import type { Evaluation } from "../evaluation";
import { ExpressionError } from "../expression/error";
import { format } from "../expression/format";
import { isScalar, numberOf, type Value } from "../expression/value";
import { placeText } from "../pageTables/names";
import type { PageTables } from "../pageTables/pageTables";
import { entryMarkdown } from "../protocol/entryMarkdown";

/** Entries of a table that are shown at most. */
const SHOWN_ENTRIES = 8;

/** @returns undefined where the text is nothing that has a value here */
export function hover(
  text: string,
  debuggee: Debuggee,
  evaluation: Evaluation,
  tables: PageTables,
  frameId: number | undefined,
): string | undefined {
  const expression = expressionOf(text);
  if (expression === undefined) return undefined;
  let value: Value;
  try {
    value = evaluation.value(expression, frameId);
    const kind = bareType(value.type)?.kind;
    // The editor's own hover shows these as a tree.
    if (kind === "struct" || kind === "union") return undefined;
    const shown = format(value, evaluation.formatOptions(false));
    const parts = [`\`${text}\` = \`${shown}\`  \n*${typeName(value.type)}*`];
    const register = findRegister(expression.replace(/^\$/, ""));
    if (expression.startsWith("$") && register?.bits !== undefined) {
      parts.push(namesOfBits(numberOf(value), register.bits));
    }
    const table = tableAt(value, debuggee);
    if (table !== undefined) parts.push(tableMarkdown(table, debuggee, tables));
    else parts.push(...numberMarkdown(value, debuggee, tables));
    return parts.filter((part) => part !== "").join("\n\n");
  } catch (error) {
    if (error instanceof ExpressionError) return undefined;
    throw error;
  }
}

/** Registers are written `%rax` in assembly, and bare in disassembly; `$0x10` is an immediate operand. */
function expressionOf(text: string): string | undefined {
  const trimmed = text.trim();
  if (/^%[a-z][a-z0-9]*$/i.test(trimmed)) return `$${trimmed.slice(1)}`;
  if (/^\$(0x)?[0-9a-f]+$/i.test(trimmed) && /^\$[0-9]/.test(trimmed)) return trimmed.slice(1);
  if (/^[a-z][a-z0-9]{1,5}$/i.test(trimmed) && findRegister(trimmed) !== undefined) return `$${trimmed}`;
  return trimmed === "" ? undefined : trimmed;
}

/** The table that begins where a value lies: a symbol of a page that CR3 leads to. */
function tableAt(value: Value, { target }: Debuggee): number | undefined {
  if (isScalar(value.type) || value.lvalue?.kind !== "memory") return undefined;
  const { address } = value.lvalue;
  const physical = target.physicalOf(address) ?? target.symbols.physicalOf(address);
  return physical !== undefined && physical % 4096 === 0 ? physical : undefined;
}

function tableMarkdown(physical: number, { target }: Debuggee, tables: PageTables): string {
  const [level] = tables.levelsOf(physical);
  if (level === undefined) return "";
  const { pagingState, memory } = target;
  const lines: string[] = [];
  let present = 0;
  for (let index = 0; index < 512; index++) {
    const value =
      pagingState.levels === 2
        ? BigInt(memory.read32(physical + 4 * index) >>> 0)
        : memory.read64(physical + 8 * index);
    if ((value & 1n) === 0n) continue;
    present++;
    if (lines.length < SHOWN_ENTRIES) lines.push(`- [${index}] \`${hex64(value)}\``);
  }
  const more = present > lines.length ? `\n- and ${present - lines.length} more` : "";
  return `A table of level ${level} with ${present} present entries\n${lines.join("\n")}${more}`;
}

/** A number: as the entry that it was read from, as an entry of any level, or as an address with its walk. */
function numberMarkdown(value: Value, { target }: Debuggee, tables: PageTables): string[] {
  if (!isScalar(value.type)) return [];
  const number = BigInt.asUintN(64, numberOf(value));
  const { pagingState } = target;
  const names = (physical: number) => placeText(target, physical);
  const place = value.lvalue?.kind === "memory" ? value.lvalue.address : undefined;
  const physical =
    place === undefined ? undefined : (target.physicalOf(place) ?? target.symbols.physicalOf(place));
  const levels = physical === undefined ? [] : tables.levelsOf(physical - (physical % 4096));
  if (levels.length > 0) {
    return levels.map((level) => entryMarkdown(decodeEntry(number, level, pagingState), names));
  }
  if (number < 4096n) return [];
  const parts: string[] = [];
  if (isAddress(number)) parts.push(walkMarkdown(number, target));
  if ((number & 1n) !== 0n && (number & IGNORED_BITS) === 0n) {
    const context = pagingState.levels === 0 ? { ...pagingState, levels: 4 as const } : pagingState;
    const entries = [1, 2]
      .map((level) => decodeEntry(number, level, context))
      .filter(({ reserved }) => reserved.length === 0);
    const seen = new Set<string>();
    for (const entry of entries) {
      const text = entryMarkdown(entry, names);
      if (!seen.has(text)) parts.push(`As ${ENTRY_NAMES[entry.level]}: ${text}`);
      seen.add(text);
    }
  }
  return parts;
}

/** Bits 52 to 58: free for software, which seldom uses them, and set in every address of the upper half. */
const IGNORED_BITS = 0x7fn << 52n;

/** Canonical for 48 bits. */
function isAddress(number: bigint): boolean {
  const high = number >> 47n;
  return high === 0n || high === 0x1ffffn;
}

function walkMarkdown(address: bigint, target: Debuggee["target"]): string {
  const symbol = target.places.symbol(address);
  const named = symbol === undefined ? "" : `\`${symbol}\`  \n`;
  if (target.pagingState.levels === 0) return `${named}Paging is off: the physical address`;
  const walk = explainWalk(target.pagingState, target.memory, address, 0, (physical) =>
    target.places.physical(physical),
  );
  const steps = walk.steps.map(
    ({ name, index, table, value }) =>
      `1. ${name} ${index} of ${placeText(target, table)}: \`${hex64(value)}\``,
  );
  return `${named}${steps.join("\n")}\n\n${walk.outcome}`;
}
