/** What the scripts around Linux use. */
export { qemuMissing } from "../qemu/qemuMachine";
export { bzImageOf, readKernel, vmlinuxPaths } from "./kernels";
export { recordLinux } from "./record";
export { recordingText } from "./recording";
