/** What a text under the cursor stands for: a register, a symbol, an entry, an address; as markdown. */
import { decodeEntry, describeEntry } from "../../paging/entry";
import { ENTRY_NAMES } from "../../paging/layout";
import { RIGHT_USER, RIGHT_WRITE } from "../../paging/walk";
import { bareType, typeName } from "../../symbols/types";
import { namesOfBits } from "../../target/registerBits";
import { findRegister } from "../../target/registers";
import { plural } from "../../target/values";
import type { Debuggee } from "../debuggee";
import type { Evaluation } from "../evaluation";
import { ExpressionError } from "../expression/error";
import { format } from "../expression/format";
import { isScalar, numberOf, type Value } from "../expression/value";
import { placeText } from "../pageTables/names";
import type { PageTables } from "../pageTables/pageTables";
import { TablePlaces } from "../pageTables/places";
import { entryMarkdown } from "../protocol/entryMarkdown";
import { numberMarkdown } from "./numbers";

/** Runs of entries of a table that are shown at most. */
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
  try {
    const value = evaluation.value(expression, frameId);
    const kind = bareType(value.type)?.kind;
    // The editor's own hover shows these as a tree.
    if (kind === "struct" || kind === "union") return undefined;
    const shown = format(value, evaluation.formatOptions(false));
    const parts = [`\`${text}\` = \`${shown}\`  \n*${typeName(value.type)}*`];
    const register = findRegister(expression.replace(/^\$/, ""));
    if (expression.startsWith("$") && register?.bits !== undefined) {
      parts.push(namesOfBits(numberOf(value), register.bits));
    }
    parts.push(...meanings(value, debuggee, tables));
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
  if (/^[0-9a-f]{16}$/i.test(trimmed)) return `0x${trimmed}`;
  if (/^[a-z][a-z0-9]{1,5}$/i.test(trimmed) && findRegister(trimmed) !== undefined) return `$${trimmed}`;
  return trimmed === "" ? undefined : trimmed;
}

function meanings(value: Value, { target }: Debuggee, tables: PageTables): string[] {
  const place = value.lvalue?.kind === "memory" ? value.lvalue.address : undefined;
  const physical =
    place === undefined ? undefined : (target.physicalOf(place) ?? target.symbols.physicalOf(place));
  if (!isScalar(value.type)) {
    const levels = physical === undefined ? [] : tables.levelsOf(physical);
    return levels.map((level) => tableMarkdown(target, physical ?? 0, level));
  }
  const number = BigInt.asUintN(64, numberOf(value));
  const levels = physical === undefined ? [] : tables.levelsOf(physical - (physical % 4096));
  if (levels.length === 0) return numberMarkdown(number, target, tables);
  const names = (at: number) => placeText(target, at);
  return levels.map((level) => entryMarkdown(decodeEntry(number, level, target.pagingState), names));
}

/** The present entries of a table, equal and continuing ones joined. */
function tableMarkdown(target: Debuggee["target"], physical: number, level: number): string {
  const places = new TablePlaces(target.pagingState, target.memory);
  const rights = RIGHT_WRITE | RIGHT_USER;
  const spans = places.spans(
    { id: "", physical, level, address: 0n, rights },
    () => false,
    () => true,
  );
  const present = spans.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const lines = spans.slice(0, SHOWN_ENTRIES).map(({ first, last, decoded }) => {
    const entry = describeEntry(decoded, (at) => placeText(target, at));
    return `- [${first === last ? first : `${first}–${last}`}] ${entry}`;
  });
  const more = spans.length - lines.length;
  if (more > 0) lines.push(`- and ${plural(more, "more row")}`);
  return `A table of ${ENTRY_NAMES[level]}s with ${plural(present, "present entry", "present entries")}\n${lines.join("\n")}`;
}
