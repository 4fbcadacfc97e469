/** Breakpoints as the protocol has them. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Breakpoint } from "./breakpoints";

/** A breakpoint as the protocol has it. */
export function protocolBreakpoint(breakpoint: Breakpoint): DebugProtocol.Breakpoint {
  const { id, verified, message, line, addresses } = breakpoint;
  return {
    id,
    verified,
    ...(message === undefined ? {} : { message }),
    ...(line === undefined ? {} : { line }),
    ...(addresses.length === 0 ? {} : { instructionReference: `0x${addresses[0].toString(16)}` }),
  };
}
