/** What the script uses. */
export { readKernel, vmlinuxPaths } from "../linux/kernels";
export { qemuMissing } from "../qemu/qemuMachine";
export { lockstep } from "./lockstep";
