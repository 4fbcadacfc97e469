/** The hypercalls by number. */
import {
  callbackOp,
  iret,
  setCallbacks,
  setGdt,
  setSegmentBase,
  setTrapTable,
  stackSwitch,
  updateDescriptor,
} from "./cpu";
import type { Handler } from "./hypercall";
import { consoleIo, memoryOp, multicall, schedOp, vcpuOp, vmAssist, xenVersion } from "./misc";
import { mmuextOp, mmuUpdate, updateVaMapping } from "./mmu";

export const HYPERCALLS: ReadonlyMap<number, Handler> = new Map([
  [0, setTrapTable],
  [1, mmuUpdate],
  [2, setGdt],
  [3, stackSwitch],
  [4, setCallbacks],
  [10, updateDescriptor],
  [12, memoryOp],
  [13, multicall],
  [14, updateVaMapping],
  [17, xenVersion],
  [18, consoleIo],
  [21, vmAssist],
  [23, iret],
  [24, vcpuOp],
  [25, setSegmentBase],
  [26, mmuextOp],
  [29, schedOp],
  [30, callbackOp],
]);
