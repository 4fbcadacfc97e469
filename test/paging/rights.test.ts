/**
 * Every combination of rights, controls and accesses, judged by the sentences of the SDM, vol. 3A, 4.6.1 (access
 * rights), 4.6.2 (protection keys) and 4.7 (error code), written here as they stand there.
 */
import { describe, expect, it } from "vitest";
import {
  ACCESS_AC,
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingLevels,
  type PagingState,
} from "../../src/paging/state";
import {
  checkRights,
  errorCodeOf,
  FAULT_NONE,
  RIGHT_USER,
  RIGHT_WRITE,
  RIGHT_XD,
} from "../../src/paging/walk";
import { pagingState } from "../support/paging";

/** An access as the SDM speaks of it. */
interface Access {
  kind: "read" | "write" | "fetch";
  mode: "user" | "explicit supervisor" | "implicit supervisor";
  ac: boolean;
}

/** An address: what the entries of its translation say together. */
interface Address {
  userMode: boolean;
  writable: boolean;
  executeDisable: boolean;
  key: number;
}

/** 4.6.1: "Data may be read (implicitly or explicitly) from any supervisor-mode address", and so on. */
function permitted(s: PagingState, address: Address, access: Access): boolean {
  const executable = !(address.executeDisable && s.nxe && s.levels !== 2);
  if (access.mode === "user") {
    if (!address.userMode) return false;
    if (access.kind === "read") return true;
    return access.kind === "write" ? address.writable : executable;
  }
  if (access.kind === "fetch") return !(address.userMode && s.smep) && executable;
  if (address.userMode && s.smap) {
    if (access.mode === "implicit supervisor" || !access.ac) return false;
  }
  return access.kind === "read" || address.writable || !s.wp;
}

/** 4.6.2: whether the key of the address forbids a data access. */
function keyForbids(s: PagingState, address: Address, access: Access): boolean {
  if (s.levels < 4 || access.kind === "fetch") return false;
  if (address.userMode ? !s.pke : !s.pks) return false;
  const register = address.userMode ? s.pkru : s.pkrs;
  const [ad, wd] = [2 * address.key, 2 * address.key + 1].map((bit) => ((register >>> bit) & 1) === 1);
  return ad || (wd && access.kind === "write" && (access.mode === "user" || s.wp));
}

/** 4.7, for an address with a valid translation. A user-mode access does not get as far as supervisor keys. */
function errorCode(s: PagingState, address: Address, access: Access): number | undefined {
  const key = keyForbids(s, address, access) && !(access.mode === "user" && !address.userMode);
  if (permitted(s, address, access) && !key) return undefined;
  const tellsFetch = s.smep || (s.levels >= 3 && s.nxe);
  return (
    1 +
    (access.kind === "write" ? 2 : 0) +
    (access.mode === "user" ? 4 : 0) +
    (access.kind === "fetch" && tellsFetch ? 16 : 0) +
    (key ? 32 : 0)
  );
}

const BOTH = [false, true];

const ACCESSES: Access[] = (["read", "write", "fetch"] as const).flatMap((kind) =>
  (["user", "explicit supervisor", "implicit supervisor"] as const).flatMap((mode) =>
    kind === "fetch" && mode === "implicit supervisor" ? [] : BOTH.map((ac) => ({ kind, mode, ac })),
  ),
);

function accessBits({ kind, mode, ac }: Access): number {
  const kinds = { read: 0, write: ACCESS_WRITE, fetch: ACCESS_FETCH };
  const modes = { user: ACCESS_USER, "explicit supervisor": 0, "implicit supervisor": ACCESS_IMPLICIT };
  return kinds[kind] | modes[mode] | (ac ? ACCESS_AC : 0);
}

/** Key 7 alone has AD, WD or both; the others show that no other key's bits are taken. */
const KEY = 7;
const REGISTERS = [0, 1 << (2 * KEY), 2 << (2 * KEY), ~(3 << (2 * KEY))];

function* addresses(): Generator<Address> {
  for (const userMode of BOTH)
    for (const writable of BOTH)
      for (const executeDisable of BOTH) yield { userMode, writable, executeDisable, key: KEY };
}

function* states(levels: PagingLevels): Generator<PagingState> {
  for (let bits = 0; bits < 64; bits++) {
    const [wp, smep, smap, nxe, pke, pks] = [0, 1, 2, 3, 4, 5].map((bit) => ((bits >> bit) & 1) === 1);
    for (const pkru of REGISTERS)
      for (const pkrs of REGISTERS) yield pagingState(levels, { wp, smep, smap, nxe, pke, pks, pkru, pkrs });
  }
}

describe.each([2, 3, 4, 5] as const)("rights with %i levels", (levels) => {
  it("follow 4.6.1, 4.6.2 and 4.7 for every combination of page, controls and access", () => {
    const wrong: string[] = [];
    const seen = new Set<number | undefined>();
    for (const s of states(levels)) {
      for (const address of addresses()) {
        // Without NXE, or in 32-bit paging, no walk hands over XD: the bit is reserved or does not exist.
        if (address.executeDisable && (!s.nxe || levels === 2)) continue;
        const rights =
          (address.writable ? RIGHT_WRITE : 0) |
          (address.userMode ? RIGHT_USER : 0) |
          (address.executeDisable ? RIGHT_XD : 0);
        for (const access of ACCESSES) {
          const bits = accessBits(access);
          const cause = checkRights(s, rights, KEY, bits);
          const actual = cause === FAULT_NONE ? undefined : errorCodeOf(s, cause, bits);
          const expected = errorCode(s, address, access);
          seen.add(expected);
          if (actual !== expected && wrong.length < 5) {
            wrong.push(`${JSON.stringify({ s, address, access })}: ${actual}, not ${expected}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
    const codes = [undefined, 1, 3, 5, 7, 0x11, 0x15, ...(levels >= 4 ? [0x21, 0x23, 0x25, 0x27] : [])];
    expect([...seen].sort()).toEqual(codes.sort());
  });
});
