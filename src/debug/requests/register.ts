/** Every request that the adapter answers, by topic. */
import type { Session } from "../session";
import { registerBreakpointRequests } from "./breakpoints";
import { registerCompareRequests } from "./compare";
import { registerDataRequests } from "./data";
import { registerExecutionRequests } from "./execution";
import { registerLifecycleRequests } from "./lifecycle";
import { registerMemoryRequests } from "./memory";
import { registerSourceRequests } from "./sources";
import { registerStackRequests } from "./stack";
import { registerTimeRequests } from "./time";
import { registerTlbRequests } from "./tlb";
import { registerViewRequests } from "./views";

/** Registers all handlers. */
export function registerRequests(session: Session): void {
  registerLifecycleRequests(session);
  registerBreakpointRequests(session);
  registerExecutionRequests(session);
  registerStackRequests(session);
  registerDataRequests(session);
  registerMemoryRequests(session);
  registerSourceRequests(session);
  registerViewRequests(session);
  registerTimeRequests(session);
  registerTlbRequests(session);
  registerCompareRequests(session);
}
