/** A cached translation in words: label, description, and tooltip. */
import { decodeEntry, describeEntry, pageSizeName } from "../../paging/entry";
import { ENTRY_NAMES } from "../../paging/layout";
import { RIGHT_USER, RIGHT_WRITE, RIGHT_XD, Walk, walkLinear } from "../../paging/walk";
import type { Target } from "../../target/target";
import { grouped, hex64, plural } from "../../target/values";
import { nameOfTable, ownerText, placeText } from "../pageTables/names";
import { toHex } from "../protocol/values";
import type { State, Structure, Translations } from "./contents";

/** A few words for how an entry stands to the tables. */
const STATES: Readonly<Record<State, string>> = {
  agrees: "agrees with the tables",
  "not-present": "stale: not present now",
  reserved: "stale: a reserved bit is set now",
  elsewhere: "stale: mapped elsewhere",
  size: "stale: another page size",
  rights: "stale: other rights",
  unknown: "not compared: another PCID",
};

/** The same for entries that lead to tables. */
const STRUCTURE_STATES: Readonly<Record<State, string>> = {
  ...STATES,
  elsewhere: "stale: the tables lead elsewhere",
};

export function addressText({ pagingState }: Target, address: bigint): string {
  return pagingState.levels >= 4 ? hex64(address) : `0x${address.toString(16).padStart(8, "0")}`;
}

/** "4 × 2M → 0x0–0x800000 RW G NX D" */
export function translationText(target: Target, span: Translations): string {
  const { entries, state } = span;
  const [{ frame, pageShift }] = entries;
  const size = pageSizeName(pageShift);
  const pages = entries.length === 1 ? size : `${entries.length} × ${size}`;
  const name = nameOfTable(target, frame);
  const to = entries.length === 1 ? toHex(frame) : physicalRange(target, span);
  const words = [`${pages} → ${to}${name === undefined ? "" : ` (${name})`}`, ...flagsOf(span)];
  const made = ` · made at ${madeText(span)}`;
  return `${state === "agrees" ? "" : `${STATES[state]} · `}${words.join(" ")}${tagText(target, span)}${made}`;
}

/** Markdown. */
export function translationTooltip(target: Target, span: Translations): string {
  const { entries, start, end, state } = span;
  const [{ frame, global, pcid, rights, key, dirty }] = entries;
  const owner = ownerText(target, frame);
  const now = target.machine.instructions;
  const ages = entries.map(({ made }) => now - made);
  const many = entries.length > 1;
  return [
    `**${plural(entries.length, "TLB entry", "TLB entries")}** for \`${addressText(target, start)}\` to \`${lastText(target, end)}\``,
    `gives ${placeText(target, frame)}${many ? " and on" : ""}${owner === undefined || nameOfTable(target, frame) !== undefined ? "" : `, ${owner}`}`,
    [
      rightsText(rights),
      key === 0 ? undefined : `protection key ${key}`,
      dirty ? "writes need no walk" : "clean: the next write walks, to set D",
      global ? "global: answers for every PCID" : `made under PCID ${pcid}`,
    ]
      .filter((part) => part !== undefined)
      .join("; "),
    many
      ? `made ${grouped(least(ages))} to ${grouped(most(ages))} instructions ago`
      : `made at instruction ${grouped(entries[0].made)}, ${plural(ages[0], "instruction")} ago`,
    `${sentence(STATES[state])}${agreementText(target, state, start)}`,
  ].join("\n\n");
}

/** "→ PT level2_kernel_pgt (0x1044000) RW" */
export function structureText(target: Target, structure: Structure): string {
  const { entry, state, pcid } = structure;
  const words = [`→ table of level ${entry.level} ${placeText(target, entry.table)}`];
  words.push(...rightFlags(entry.rights));
  const tag = usesPcids(target) ? ` · PCID ${pcid}` : "";
  return `${state === "agrees" ? "" : `${STRUCTURE_STATES[state]} · `}${words.join(" ")}${tag} · made at ${grouped(entry.made)}`;
}

/** Markdown. */
export function structureTooltip(target: Target, structure: Structure): string {
  const { entry, state, pcid, start, end } = structure;
  const age = target.machine.instructions - entry.made;
  return [
    `**${ENTRY_NAMES[entry.level + 1]} cache** for \`${addressText(target, start)}\` to \`${lastText(target, end)}\``,
    `walks of these addresses begin at the table ${placeText(target, entry.table)} of level ${entry.level}, with what the entries above leave allowed: ${rightsText(entry.rights)}; made under PCID ${pcid}`,
    `made at instruction ${grouped(entry.made)}, ${plural(age, "instruction")} ago`,
    `${sentence(STRUCTURE_STATES[state])}${agreementText(target, state, start)}`,
  ].join("\n\n");
}

export function structureLabel({ entry }: Structure): string {
  return `${ENTRY_NAMES[entry.level + 1]} cache`;
}

/** What the tables say instead. */
function agreementText(target: Target, state: State, start: bigint): string {
  if (state === "agrees") return "";
  if (state === "unknown") return " than that of CR3, and which root it was made from is not recorded.";
  const { pagingState, memory } = target;
  const walk = new Walk();
  const [low, high] = [Number(BigInt.asIntN(32, start)), Number(BigInt.asIntN(32, start >> 32n))];
  walkLinear(pagingState, memory, low, high, 0, walk);
  const last = walk.stepCount - 1;
  const value = (BigInt(walk.entryHigh[last] >>> 0) << 32n) | BigInt(walk.entryLow[last] >>> 0);
  const level = walk.levels[last];
  const decoded = describeEntry(decodeEntry(value, level, pagingState), (physical) =>
    placeText(target, physical),
  );
  const entry = walk.entryAddresses[last];
  const index = Math.floor((entry % 4096) / (pagingState.levels === 2 ? 4 : 8));
  return `. The walk of \`${addressText(target, start)}\` now ends at ${ENTRY_NAMES[level]} ${index} of ${placeText(target, entry - (entry % 4096))}: \`${entryText(target, value)}\`, ${decoded}`;
}

function entryText({ pagingState }: Target, value: bigint): string {
  return pagingState.levels === 2 ? `0x${value.toString(16).padStart(8, "0")}` : hex64(value);
}

function physicalRange(target: Target, { entries }: Translations): string {
  const [{ frame, pageShift }] = entries;
  const owner = ownerText(target, frame);
  if (target.xen !== undefined && owner !== "the hypervisor's") return `${toHex(frame)} (${owner}) and on`;
  return `${toHex(frame)}–${toHex(frame + entries.length * 2 ** pageShift)}`;
}

/** "1,234" or "1,234–5,678": instructions. */
function madeText({ entries }: Translations): string {
  const made = entries.map((entry) => entry.made);
  const [first, last] = [least(made), most(made)];
  return first === last ? grouped(first) : `${grouped(first)}–${grouped(last)}`;
}

function flagsOf({ entries }: Translations): string[] {
  const [{ rights, global, dirty, key }] = entries;
  const flags = rightFlags(rights);
  if (global) flags.push("G");
  if (dirty) flags.push("D");
  if (key !== 0) flags.push(`key ${key}`);
  return flags;
}

function rightFlags(rights: number): string[] {
  const flags = [(rights & RIGHT_WRITE) !== 0 ? "RW" : "RO"];
  if ((rights & RIGHT_USER) !== 0) flags.push("US");
  if ((rights & RIGHT_XD) !== 0) flags.push("NX");
  return flags;
}

/** "user, read and write, no execute" */
function rightsText(rights: number): string {
  return [
    (rights & RIGHT_USER) !== 0 ? "user" : "supervisor",
    (rights & RIGHT_WRITE) !== 0 ? "read and write" : "read only",
    (rights & RIGHT_XD) !== 0 ? "no execute" : "execute",
  ].join(", ");
}

function tagText(target: Target, { entries }: Translations): string {
  const [{ global, pcid }] = entries;
  return global || !usesPcids(target) ? "" : ` · PCID ${pcid}`;
}

const CR4_PCIDE = 1 << 17;

function usesPcids({ machine }: Target): boolean {
  return (machine.cpu.cr4 & CR4_PCIDE) !== 0;
}

function lastText(target: Target, end: bigint): string {
  return addressText(target, BigInt.asUintN(target.pagingState.levels >= 4 ? 64 : 32, end - 1n));
}

function sentence(text: string): string {
  return `*${text[0].toUpperCase()}${text.slice(1)}*`;
}

/** Of many numbers, where `Math.min(...)` would run out of stack. */
function least(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => Math.min(a, b));
}

function most(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => Math.max(a, b));
}
