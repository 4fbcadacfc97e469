/** Bytes of a size as QEMU reads it: "256M", "4G". @throws Error */
export function bytesOfSize(text: string): number {
  const match = /^(\d{1,6})([MG])$/.exec(text);
  if (match === null) throw new Error(`"${text}" is no size of memory: write 256M or 4G`);
  return Number(match[1]) * (match[2] === "G" ? 2 ** 30 : 2 ** 20);
}
