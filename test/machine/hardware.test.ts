/**
 * The CPU against a real one: replays the instruction cases that were recorded on an x86-64 processor
 * (test/reference/cpu) and compares registers, flags, memory and faults bit for bit. Flags that the manual leaves
 * undefined are not compared.
 */
import { replayFamilies } from "./hardwareReplay";

replayFamilies("in 64-bit code the CPU does what the recorded processor did:", 64, false);
replayFamilies("in 32-bit code the CPU does what the recorded processor did:", 32, false);
