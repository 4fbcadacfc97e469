/** The extension's roof: puts the debugger and the views together. The machine is in the debug adapter's worker. */
import type * as vscode from "vscode";
import { registerComparison } from "./views/compare/register";
import { registerDebugging } from "./views/debugging/register";
import { registerEventLog } from "./views/eventLog/register";
import { registerHover } from "./views/hover/register";
import { registerMemoryPages } from "./views/memory/register";
import { registerMemoryMap } from "./views/memoryMap/register";
import { registerPageTables } from "./views/pageTables/register";
import { Sessions } from "./views/sessions";
import { Moments } from "./views/time/moments";
import { registerTime } from "./views/time/register";
import { registerTlb } from "./views/tlb/register";

export function activate(context: vscode.ExtensionContext): void {
  const sessions = new Sessions();
  const moments = new Moments(sessions);
  context.subscriptions.push(
    sessions,
    moments,
    registerDebugging(context),
    registerPageTables(sessions),
    registerTlb(sessions),
    registerEventLog(sessions),
    registerMemoryPages(sessions),
    registerHover(sessions),
    registerMemoryMap(context, sessions, moments),
    registerTime(sessions),
    registerComparison(sessions, moments),
  );
}
