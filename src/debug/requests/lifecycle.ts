/** From `initialize` to `disconnect`. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { EXCEPTION_FILTERS } from "../breakpoints/exceptionFilters";
import { RequestError } from "../dispatcher";
import {
  CONFIGURATION_DONE,
  DISCONNECT,
  INITIALIZE,
  LAUNCH,
  MODULES,
  RESTART,
  TERMINATE,
  THREADS,
} from "../protocol/standard";
import type { Session } from "../session";
import { THREAD_ID } from "../thread";

/** What the adapter can do; each has a request of `protocol/standard.ts`, or a field that is read. */
export const CAPABILITIES: DebugProtocol.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsHitConditionalBreakpoints: true,
  supportsLogPoints: true,
  supportsBreakpointLocationsRequest: true,
  supportsInstructionBreakpoints: true,
  supportsDataBreakpoints: true,
  supportsDataBreakpointBytes: true,
  supportsExceptionOptions: false,
  supportsExceptionFilterOptions: true,
  supportsExceptionInfoRequest: true,
  exceptionBreakpointFilters: [...EXCEPTION_FILTERS],
  supportsEvaluateForHovers: true,
  supportsSetVariable: true,
  supportsSetExpression: true,
  supportsValueFormattingOptions: true,
  supportsCompletionsRequest: true,
  completionTriggerCharacters: [".", "$", "/"],
  supportsDelayedStackTraceLoading: true,
  supportsSteppingGranularity: true,
  supportsGotoTargetsRequest: true,
  supportsStepBack: true,
  supportsRestartFrame: true,
  supportsCancelRequest: true,
  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsDisassembleRequest: true,
  supportsLoadedSourcesRequest: true,
  supportsModulesRequest: true,
  supportsRestartRequest: true,
  supportsTerminateRequest: true,
  supportTerminateDebuggee: false,
};

/** Registers the handlers. */
export function registerLifecycleRequests(session: Session): void {
  const { dispatcher } = session;
  dispatcher.on(INITIALIZE, ({ pathFormat, ...client }) => {
    if (pathFormat !== undefined && pathFormat !== "path") {
      throw new RequestError(`paths can only be exchanged as paths, not as "${pathFormat}"`);
    }
    session.client = client;
    return CAPABILITIES;
  });
  dispatcher.on(LAUNCH, async (args) => {
    if (session.launched) throw new RequestError("this session has launched already: use restart");
    await session.launch(args);
    session.afterResponse(() => session.host.send("initialized"));
    return undefined;
  });
  dispatcher.on(CONFIGURATION_DONE, () => {
    session.stoppedAtStart();
    session.afterResponse(() => session.begin());
    return undefined;
  });
  dispatcher.on(RESTART, async (args) => {
    await session.relaunch(args.arguments);
    session.afterResponse(() => session.begin());
    return undefined;
  });
  dispatcher.on(TERMINATE, () => {
    session.afterResponse(() => session.end());
    return undefined;
  });
  dispatcher.on(DISCONNECT, () => {
    session.afterResponse(() => session.end());
    return undefined;
  });
  dispatcher.on(THREADS, () => ({
    threads: session.launched ? [{ id: THREAD_ID, name: "CPU 0" }] : [],
  }));
  dispatcher.on(MODULES, () => {
    const { target, settings } = session.debuggee;
    const { symbols } = target;
    const problems = symbols.problems.length;
    return {
      modules: [
        {
          id: 1,
          name: settings.request.program,
          symbolStatus: problems === 0 ? "Symbols read" : `Symbols read, with ${problems} problems`,
        },
      ],
      totalModules: 1,
    };
  });
}
