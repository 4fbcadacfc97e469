/**
 * A debugging session: requests come in, responses and events go out. What the requests do stands in `requests/`, by
 * topic; here is what they share: the debuggee, the breakpoints, and the way from a stop to the client.
 *
 * Invariants: a request is answered exactly once; an error in one leaves the session as it was; while the debuggee
 * runs, nothing that needs it to stand still is answered.
 */
import type { MachineEvent } from "../machine/events";
import { MemoryExhaustedError } from "../machine/memory";
import { type Files, launch } from "../target/launch";
import type { Target } from "../target/target";
import { Breakpoints } from "./breakpoints/breakpoints";
import { DataBreakpoints, type DataHit } from "./breakpoints/dataBreakpoints";
import { ExceptionFilters } from "./breakpoints/exceptionFilters";
import { protocolBreakpoint } from "./breakpoints/shown";
import type { ComparisonRows } from "./compare/rows";
import { Debuggee } from "./debuggee";
import { Dispatcher, RequestError } from "./dispatcher";
import { Evaluation } from "./evaluation";
import { EventLog } from "./eventLog/eventLog";
import { type LaunchSettings, readLaunch } from "./launch";
import { MemoryMap } from "./memoryMap/memoryMap";
import { PageTables } from "./pageTables/pageTables";
import { prepareInnermost } from "./requests/stack";
import type { Motions } from "./run/motion";
import type { StopPolicy } from "./run/runControl";
import type { Stop } from "./run/stop";
import type { SourceFiles } from "./sources";
import { stoppedBody } from "./stopped";
import { THREAD_ID } from "./thread";
import type { ReverseStop } from "./time/search";
import { TimeTravel } from "./time/timeTravel";
import { StaleUseSearch } from "./tlb/staleUse";
import { TlbView } from "./tlb/tlb";

/** Milliseconds for which reading names ahead keeps requests waiting. */
const NAMES_SLICE = 10;

/** What a session needs of the process that it runs in. */
export interface SessionHost {
  readonly files: Files & SourceFiles;
  /** Source path prefixes of the bundled programs, and where they are. */
  readonly bundledSources: Readonly<Record<string, string>>;
  /** Sends an event to the client. */
  send(event: string, body?: unknown): void;
  breathe(): Promise<void>;
  /** Milliseconds, monotonic. */
  now(): number;
}

export class Session {
  readonly dispatcher = new Dispatcher();
  readonly breakpoints: Breakpoints;
  readonly dataBreakpoints: DataBreakpoints;
  readonly filters: ExceptionFilters;
  readonly evaluation: Evaluation;
  private readonly staleUse = new StaleUseSearch();
  /** What the client told of itself. */
  client = {
    linesStartAt1: true,
    columnsStartAt1: true,
    supportsInvalidatedEvent: false,
    supportsProgressReporting: false,
  };
  private current: Parts | undefined;
  private over = false;
  private readonly afterwards: (() => void)[] = [];
  readonly time: TimeTravel;
  private travels = 0;
  private travel: Promise<void> = Promise.resolve();

  constructor(readonly host: SessionHost) {
    const say = (text: string) => this.say(text);
    const target = () => this.debuggee.target;
    this.time = new TimeTravel(this);
    this.evaluation = new Evaluation(() => this.debuggee);
    this.breakpoints = new Breakpoints(target, this.evaluation, say);
    this.dataBreakpoints = new DataBreakpoints(target, this.breakpoints);
    this.filters = new ExceptionFilters(this.evaluation, say);
  }

  /** The debuggee, running or not. @throws RequestError before a launch */
  get debuggee(): Debuggee {
    return this.parts.debuggee;
  }

  /** The debuggee and what watches it for the views. @throws RequestError before a launch */
  get parts(): Parts {
    if (this.current === undefined) throw new RequestError("nothing has been launched yet");
    return this.current;
  }

  get launched(): boolean {
    return this.current !== undefined;
  }

  /** The debuggee, standing still. @throws RequestError while it runs */
  get stopped(): Debuggee {
    const { debuggee } = this;
    if (debuggee.control.isRunning) throw new RequestError("the debuggee is running: pause it first");
    return debuggee;
  }

  /**
   * Boots what a launch configuration says.
   * @throws LaunchError, UsageError, CpuModelError, ImageError
   */
  async launch(args: unknown): Promise<void> {
    const settings = readLaunch(args);
    const target = await launch(settings.request, this.host.files);
    this.current = this.partsOf(target, settings);
    this.debuggee.want(this.filters.kinds);
    this.tellProblems(target);
  }

  /** Boots the same, or another configuration, from its first instruction; breakpoints stay. */
  async relaunch(args: unknown): Promise<void> {
    const settings = args === undefined ? this.debuggee.settings : readLaunch(args);
    const target = await launch(settings.request, this.host.files);
    const { breakpoints } = this;
    this.staleUse.cancel();
    this.current = this.partsOf(target, settings);
    this.debuggee.want(this.filters.kinds);
    for (const breakpoint of breakpoints.retarget()) {
      this.host.send("breakpoint", { reason: "changed", breakpoint: protocolBreakpoint(breakpoint) });
    }
    this.dataBreakpoints.resolve();
    this.tellProblems(target);
  }

  /** The first motion of a debuggee: none where it is to stop on entry. */
  begin(): void {
    const { debuggee } = this;
    this.say(`Booting: ${debuggee.target.details}\n`);
    if (debuggee.settings.stopOnEntry && !debuggee.settings.noDebug) this.stop({ kind: "entry" });
    else this.go((control) => control.continue());
  }

  /** Does something once the request that is being answered has its response. */
  afterResponse(action: () => void): void {
    this.afterwards.push(action);
  }

  /** The request had no success: what was to follow it does not. */
  forget(): void {
    this.afterwards.length = 0;
  }

  /** The response of a request is out. */
  responded(): void {
    for (const action of this.afterwards.splice(0)) action();
  }

  /** @throws RequestError unless the debuggee stands at its entry and was not told to go */
  stoppedAtStart(): void {
    const { debuggee } = this;
    if (debuggee.control.isRunning || debuggee.stop !== undefined) {
      throw new RequestError("the configuration is done already");
    }
  }

  /** The user put the debuggee elsewhere: a stop without a motion. */
  standAt(reason: "goto"): void {
    this.stop({ kind: reason });
  }

  /** Lets the debuggee go on; the stop is told when it comes. @throws RequestError where it runs or is over */
  resume(motions?: Motions): void {
    const { control, stop } = this.stopped;
    if (control.ended !== undefined || stop?.kind === "failure") {
      this.end();
      return;
    }
    this.go(() => (motions === undefined ? control.continue() : control.step(motions)));
  }

  /** Goes on until a stale translation is used; nothing else stops but the end and the user. */
  findStaleUse(): void {
    const { target, control } = this.stopped;
    if (control.ended === undefined) this.staleUse.begin(target);
    this.host.send("continued", { threadId: THREAD_ID, allThreadsContinued: true });
    this.resume();
  }

  /** Ends the session: the guest is over, or the user had enough. */
  end(): void {
    if (this.over) return;
    this.over = true;
    const ended = this.current?.debuggee.control.ended;
    this.current?.debuggee.control.pause();
    if (ended?.event === "exit") this.host.send("exited", { exitCode: ended.status });
    this.host.send("terminated");
  }

  /** A line for the debug console. */
  say(text: string, category: "console" | "stdout" | "important" = "console"): void {
    this.host.send("output", { category, output: text.endsWith("\n") ? text : `${text}\n` });
  }

  /** The user changed registers or memory: what the client shows of them is old. */
  changed(areas: readonly string[]): void {
    this.debuggee.stack.invalidate();
    this.parts.pageTables.invalidate();
    this.parts.tlb.invalidate();
    if (this.client.supportsInvalidatedEvent) this.host.send("invalidated", { areas });
  }

  /** Whether the debuggee is on its way through the history. */
  get isTravelling(): boolean {
    return this.travels > 0;
  }

  /** Resolves once the debuggee is not on its way through the history: what is asked meanwhile is answered then. */
  get settled(): Promise<void> {
    return this.travel;
  }

  /** Moves the debuggee through the history; the stop is told when it comes. */
  goBack(move: () => Promise<ReverseStop | { stop: Stop }>): void {
    const travel = this.travelling(move, true).then(
      (found) => {
        this.lastData = "data" in found ? found.data : undefined;
        const { cpu } = this.debuggee.target.machine;
        const told = found.stop.kind === "event" && found.stop.events[0].event === "milestone";
        if (told) cpu.milestoneToldAt = cpu.retired;
        if (!this.over) this.stop(found.stop);
      },
      (error: unknown) => {
        if (!(error instanceof MemoryExhaustedError)) this.fail(error);
        else this.stop({ kind: "failure", message: error.message });
      },
    );
    this.travel = travel;
  }

  /**
   * Does something that moves the debuggee through the history.
   * @param implied whether the request itself tells the client that the debuggee leaves its place
   */
  async travelling<T>(move: () => Promise<T>, implied = false): Promise<T> {
    this.leave(this.stopped);
    if (!implied) this.host.send("continued", { threadId: THREAD_ID, allThreadsContinued: true });
    this.travels++;
    try {
      return await move();
    } catch (error) {
      if (!implied) this.standAtMoment("Nothing was gone to");
      throw error;
    } finally {
      this.travels--;
    }
  }

  /** The debuggee has been put into another moment. */
  standAtMoment(description: string, preserveFocus = false): void {
    if (!this.over) this.stop({ kind: "moment", reason: "goto", description, preserveFocus });
  }

  private go(move: (control: Debuggee["control"]) => Promise<Stop>): void {
    const { debuggee } = this;
    this.leave(debuggee);
    move(debuggee.control).then(
      (stop) => {
        if (this.current?.debuggee === debuggee && !this.over) this.stop(stop);
      },
      (error: unknown) => this.fail(error),
    );
  }

  /** The debuggee leaves the place where it stands. */
  private leave(debuggee: Debuggee): void {
    const { pageTables, memoryMap, tlb } = this.parts;
    debuggee.left();
    tlb.invalidate();
    pageTables.onResume();
    memoryMap.onResume();
  }

  private stop(stop: Stop): void {
    const { debuggee, pageTables } = this.parts;
    debuggee.target.machine.serial.flush();
    debuggee.invalidate();
    debuggee.stop = stop;
    this.dataBreakpoints.resolve();
    pageTables.onStop();
    const missed = this.staleUse.end(stop);
    if (missed !== undefined) this.say(missed, "important");
    if (stop.kind === "end" && (debuggee.settings.noDebug || !this.filters.kinds.has(stop.event.event))) {
      this.end();
      return;
    }
    prepareInnermost(this, debuggee);
    this.host.send("stopped", stoppedBody(stop, debuggee, this.lastData));
    this.readNames(debuggee).catch((error: unknown) => this.fail(error));
  }

  private readingNames = false;

  /** Reads the image's names while nothing else is to do: an expression would wait for those of a whole kernel. */
  private async readNames(debuggee: Debuggee): Promise<void> {
    const { debug } = debuggee.target.symbols;
    if (debug === undefined || this.readingNames) return;
    this.readingNames = true;
    try {
      for (let done = false; !done; ) {
        await this.host.breathe();
        const idle = !this.over && this.current?.debuggee === debuggee && !debuggee.control.isRunning;
        if (!idle) return;
        const end = this.host.now() + NAMES_SLICE;
        done = debug.readNames(() => this.host.now() < end);
      }
    } finally {
      this.readingNames = false;
    }
  }

  /** An error of ours: the session ends with a message, and nothing else does. */
  fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.say(`Pagewalk failed: ${message}. The session ends.`, "important");
    this.end();
  }

  private lastData: DataHit | undefined;

  private readonly policy: StopPolicy = {
    addresses: () => (this.ignoring ? NONE : this.breakpoints.addresses),
    arrived: (rip) => (this.ignoring ? undefined : this.breakpoints.arrived(rip)),
    stopsAt: (event) =>
      this.staleUse.active
        ? this.staleUse.stopsAt(event, this.debuggee.target)
        : !this.ignoring && this.filters.stopsAt(event),
    dataChanged: (change) => {
      this.lastData = this.ignoring ? undefined : this.dataBreakpoints.stopsAt(change);
      return this.lastData !== undefined;
    },
  };

  private get ignoring(): boolean {
    return this.debuggee.settings.noDebug || this.staleUse.active;
  }

  private partsOf(target: Target, settings: LaunchSettings): Parts {
    const { files, bundledSources, breathe, now } = this.host;
    const eventLog = new EventLog(target);
    const debuggee = new Debuggee(target, settings, {
      files,
      policy: this.policy,
      bundledSources,
      breathe,
      now,
      event: (event) => this.record(event, eventLog),
      eventsForgotten: (instruction) =>
        eventLog.cut(instruction, (kind) => debuggee.timeline.countUpTo(kind, instruction - 1)),
    });
    return {
      debuggee,
      eventLog,
      pageTables: new PageTables(target),
      memoryMap: new MemoryMap(target),
      tlb: new TlbView(target, debuggee.sources),
    };
  }

  private record(event: MachineEvent, eventLog: EventLog): void {
    if (event.event === "serial") this.say(event.text, "stdout");
    eventLog.record(event);
  }

  private tellProblems(target: Target): void {
    const [problem, ...more] = target.symbols.problems;
    if (problem === undefined) return;
    this.say(
      `Symbols are incomplete: ${problem.message}${more.length > 0 ? ` (and ${more.length} more)` : ""}`,
    );
  }
}

/** A debuggee with what watches it for the views. */
export interface Parts {
  readonly debuggee: Debuggee;
  readonly eventLog: EventLog;
  readonly pageTables: PageTables;
  readonly memoryMap: MemoryMap;
  readonly tlb: TlbView;
  /** The latest comparison of two moments. */
  comparison?: ComparisonRows;
}

const NONE: ReadonlySet<bigint> = new Set();
