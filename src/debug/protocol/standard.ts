/** The standard requests that the adapter answers, with what it reads of their arguments (DAP 1.68). */
import type { DebugProtocol as P } from "@vscode/debugprotocol";
import * as v from "valibot";
import { request } from "./declare";
import { count } from "./values";

const integer = v.pipe(v.number(), v.safeInteger());
const frameId = v.optional(integer);
const granularity = v.optional(v.picklist(["statement", "line", "instruction"]));
const source = v.looseObject({ path: v.optional(v.string()), sourceReference: v.optional(v.number()) });
const format = v.optional(v.looseObject({ hex: v.optional(v.boolean()) }));
const wish = {
  condition: v.optional(v.string()),
  hitCondition: v.optional(v.string()),
  logMessage: v.optional(v.string()),
};
const thread = v.looseObject({ threadId: v.optional(integer), granularity });
const anything = v.looseObject({});
type Empty = undefined;

export const INITIALIZE = request<P.Capabilities>()(
  "initialize",
  v.looseObject({
    linesStartAt1: v.optional(v.boolean(), true),
    columnsStartAt1: v.optional(v.boolean(), true),
    pathFormat: v.optional(v.string()),
    supportsMemoryReferences: v.optional(v.boolean(), false),
    supportsInvalidatedEvent: v.optional(v.boolean(), false),
    supportsMemoryEvent: v.optional(v.boolean(), false),
    supportsProgressReporting: v.optional(v.boolean(), false),
  }),
);
export const LAUNCH = request<Empty>()("launch", anything);
export const CONFIGURATION_DONE = request<Empty>()("configurationDone", anything);
export const RESTART = request<Empty>()("restart", v.looseObject({ arguments: v.optional(v.unknown()) }));
export const TERMINATE = request<Empty>()("terminate", anything);
export const DISCONNECT = request<Empty>()("disconnect", anything);
export const THREADS = request<P.ThreadsResponse["body"]>()("threads", anything);

export const SET_BREAKPOINTS = request<P.SetBreakpointsResponse["body"]>()(
  "setBreakpoints",
  v.looseObject({
    source,
    breakpoints: v.optional(v.array(v.looseObject({ line: integer, ...wish })), []),
  }),
);
export const BREAKPOINT_LOCATIONS = request<P.BreakpointLocationsResponse["body"]>()(
  "breakpointLocations",
  v.looseObject({ source, line: integer, endLine: v.optional(integer) }),
);
export const SET_FUNCTION_BREAKPOINTS = request<P.SetFunctionBreakpointsResponse["body"]>()(
  "setFunctionBreakpoints",
  v.looseObject({ breakpoints: v.array(v.looseObject({ name: v.string(), ...wish })) }),
);
export const SET_INSTRUCTION_BREAKPOINTS = request<P.SetInstructionBreakpointsResponse["body"]>()(
  "setInstructionBreakpoints",
  v.looseObject({
    breakpoints: v.array(
      v.looseObject({ instructionReference: v.string(), offset: v.optional(integer, 0), ...wish }),
    ),
  }),
);
export const SET_EXCEPTION_BREAKPOINTS = request<P.SetExceptionBreakpointsResponse["body"]>()(
  "setExceptionBreakpoints",
  v.looseObject({
    filters: v.optional(v.array(v.string()), []),
    filterOptions: v.optional(
      v.array(v.looseObject({ filterId: v.string(), condition: v.optional(v.string()) })),
      [],
    ),
  }),
);
export const DATA_BREAKPOINT_INFO = request<P.DataBreakpointInfoResponse["body"]>()(
  "dataBreakpointInfo",
  v.looseObject({
    variablesReference: v.optional(integer),
    name: v.string(),
    frameId,
    bytes: v.optional(count),
    asAddress: v.optional(v.boolean(), false),
  }),
);
export const SET_DATA_BREAKPOINTS = request<P.SetDataBreakpointsResponse["body"]>()(
  "setDataBreakpoints",
  v.looseObject({
    breakpoints: v.array(v.looseObject({ dataId: v.string(), accessType: v.optional(v.string()), ...wish })),
  }),
);

export const CONTINUE = request<P.ContinueResponse["body"]>()("continue", thread);
export const NEXT = request<Empty>()("next", thread);
export const STEP_IN = request<Empty>()("stepIn", thread);
export const STEP_OUT = request<Empty>()("stepOut", thread);
export const STEP_BACK = request<Empty>()("stepBack", thread);
export const REVERSE_CONTINUE = request<Empty>()("reverseContinue", thread);
export const RESTART_FRAME = request<Empty>()("restartFrame", v.looseObject({ frameId: integer }));
/** Only of what reports progress. */
export const CANCEL = request<Empty>()("cancel", v.looseObject({ progressId: v.optional(v.string()) }));
export const PAUSE = request<Empty>()("pause", thread);
export const GOTO_TARGETS = request<P.GotoTargetsResponse["body"]>()(
  "gotoTargets",
  v.looseObject({ source, line: integer }),
);
export const GOTO = request<Empty>()("goto", v.looseObject({ targetId: integer }));
export const EXCEPTION_INFO = request<P.ExceptionInfoResponse["body"]>()("exceptionInfo", thread);

export const STACK_TRACE = request<P.StackTraceResponse["body"]>()(
  "stackTrace",
  v.looseObject({ startFrame: v.optional(count, 0), levels: v.optional(count, 0) }),
);
export const SCOPES = request<P.ScopesResponse["body"]>()("scopes", v.looseObject({ frameId: integer }));
export const VARIABLES = request<P.VariablesResponse["body"]>()(
  "variables",
  v.looseObject({
    variablesReference: integer,
    filter: v.optional(v.picklist(["indexed", "named"])),
    start: v.optional(count),
    count: v.optional(count),
    format,
  }),
);
export const SET_VARIABLE = request<P.SetVariableResponse["body"]>()(
  "setVariable",
  v.looseObject({ variablesReference: integer, name: v.string(), value: v.string(), format }),
);
export const SET_EXPRESSION = request<P.SetExpressionResponse["body"]>()(
  "setExpression",
  v.looseObject({ expression: v.string(), value: v.string(), frameId, format }),
);
export const EVALUATE = request<P.EvaluateResponse["body"]>()(
  "evaluate",
  v.looseObject({ expression: v.string(), frameId, context: v.optional(v.string()), format }),
);
export const COMPLETIONS = request<P.CompletionsResponse["body"]>()(
  "completions",
  v.looseObject({ frameId, text: v.string(), column: integer, line: v.optional(integer) }),
);

export const READ_MEMORY = request<P.ReadMemoryResponse["body"]>()(
  "readMemory",
  v.looseObject({ memoryReference: v.string(), offset: v.optional(integer, 0), count }),
);
export const WRITE_MEMORY = request<P.WriteMemoryResponse["body"]>()(
  "writeMemory",
  v.looseObject({
    memoryReference: v.string(),
    offset: v.optional(integer, 0),
    allowPartial: v.optional(v.boolean(), false),
    data: v.string(),
  }),
);
export const DISASSEMBLE = request<P.DisassembleResponse["body"]>()(
  "disassemble",
  v.looseObject({
    memoryReference: v.string(),
    offset: v.optional(integer, 0),
    instructionOffset: v.optional(integer, 0),
    instructionCount: v.pipe(count, v.maxValue(100_000)),
    resolveSymbols: v.optional(v.boolean(), false),
  }),
);
export const LOADED_SOURCES = request<P.LoadedSourcesResponse["body"]>()("loadedSources", anything);
export const SOURCE = request<P.SourceResponse["body"]>()(
  "source",
  v.looseObject({ source: v.optional(source), sourceReference: v.optional(integer) }),
);
export const MODULES = request<P.ModulesResponse["body"]>()("modules", anything);
