/** How families declare themselves, and what several of them share. */
import type { Mnemonic } from "iced-x86";
import type { CpuModel } from "../model";
import type { Op, Site, Size } from "../operands";
import { operandSize } from "../operands";
import type { Builder } from "./table";

/** A family from pairs of mnemonics and builders. */
export function family(...rows: [mnemonic: Mnemonic, build: (site: Site) => Op][]): [Mnemonic, Builder][] {
  return rows.map(([mnemonic, build]) => [mnemonic, { build }]);
}

/** The same for instructions after which a block ends. */
export function endingFamily(
  ...rows: [mnemonic: Mnemonic, build: (site: Site) => Op][]
): [Mnemonic, Builder][] {
  return rows.map(([mnemonic, build]) => [mnemonic, { build, ends: true }]);
}

/** An operation that raises #UD where the CPU model lacks a feature, else what `build` makes. */
export function withFeature(
  feature: keyof CpuModel["features"],
  build: (site: Site) => Op,
): (site: Site) => Op {
  return (site) =>
    site.features[feature] ? build(site) : undefinedOpcode(`this CPU has no ${String(feature)}`);
}

/** Raises #UD. */
export function undefinedOpcode(reason: string): Op {
  return (c) => {
    throw c.ud(reason);
  };
}

/** Operand size of operand 0. */
export function sizeOf(site: Site): Size {
  return operandSize(site.instruction, 0);
}
