/** As `hardware.test.ts`, with every block compiled before it runs, as otherwise only hot ones are. */
import { replayFamilies } from "./hardwareReplay";

replayFamilies("in 64-bit code compiled blocks do what the recorded processor did:", 64, true);
