/** The page of code through which a guest calls the hypervisor: a slot for each number. */
import { type GuestAbi, HYPERCALL_SLOT_BYTES, HYPERCALL_SLOTS, HYPERCALL_VECTOR, IRET } from "./abi";

/** The bytes of the page. What is left of it traps (INT3). */
export function hypercallPage(abi: GuestAbi): Uint8Array {
  const page = new Uint8Array(4096).fill(0xcc);
  for (let number = 0; number < HYPERCALL_SLOTS; number++) {
    page.set(abi.bits === 64 ? slot64(number) : slot32(number), number * HYPERCALL_SLOT_BYTES);
  }
  return page;
}

/** push rcx; push r11; mov eax, n; syscall; pop r11; pop rcx; ret. IRET does not come back, and saves rax too. */
function slot64(number: number): number[] {
  const call = [0xb8, number, 0, 0, 0, 0x0f, 0x05];
  if (number === IRET) return [0x51, 0x41, 0x53, 0x50, ...call];
  return [0x51, 0x41, 0x53, ...call, 0x41, 0x5b, 0x59, 0xc3];
}

/** mov eax, n; int 0x82; ret. */
function slot32(number: number): number[] {
  const call = [0xb8, number, 0, 0, 0, 0xcd, HYPERCALL_VECTOR];
  return number === IRET ? [0x50, ...call] : [...call, 0xc3];
}
