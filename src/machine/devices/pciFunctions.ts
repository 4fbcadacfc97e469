/** The PCI functions of QEMU 7.2's `pc` without cards, with the registers that SeaBIOS leaves; recorded from it. */

/** One function on bus 0. What is left out of the registers is 0. */
export interface PciFunction {
  readonly device: number;
  readonly function: number;
  /** Doublewords by their offset. */
  readonly registers: Readonly<Record<number, number>>;
  /** Which bits of the header can be written, by doubleword; those behind the header all can. */
  readonly writable: Readonly<Record<number, number>>;
}

/** Command: I/O, memory, bus master, SERR, no INTx; cache line size; interrupt line. */
const HEADER_WRITABLE = { 4: 0x0507, 12: 0xff, 60: 0xff };
/** Subsystem of the vendor Red Hat: QEMU. */
const SUBSYSTEM = 0x11001af4;

export const PC_FUNCTIONS: readonly PciFunction[] = [
  {
    // i440FX host bridge; PAM registers: ROMs can be read from RAM, the BIOS area written too.
    device: 0,
    function: 0,
    registers: {
      0: 0x12378086,
      4: 0x0103,
      8: 0x06000002,
      44: SUBSYSTEM,
      84: 0xff000000,
      88: 0x11111000,
      92: 0x33111111,
      112: 0x000a0000,
    },
    writable: HEADER_WRITABLE,
  },
  {
    // PIIX3 ISA bridge, of several functions; the interrupts of PIRQA to PIRQD are 10, 10, 11, 11.
    device: 1,
    function: 0,
    registers: {
      0: 0x70008086,
      4: 0x02000103,
      8: 0x06010000,
      12: 0x00800000,
      44: SUBSYSTEM,
      76: 0x0003004d,
      96: 0x0b0b0a0a,
      104: 0x0200,
      112: 0x80,
      116: 0x0c0c0000,
      120: 2,
      160: 8,
      168: 0x0f,
    },
    writable: HEADER_WRITABLE,
  },
  {
    // PIIX3 IDE, whose bus-master registers lie at port C000H.
    device: 1,
    function: 1,
    registers: {
      0: 0x70108086,
      4: 0x02800103,
      8: 0x01018000,
      32: 0xc001,
      44: SUBSYSTEM,
      64: 0x80008000,
    },
    writable: { ...HEADER_WRITABLE, 32: 0xfffffff0 },
  },
  {
    // PIIX4 power management, at ports 600H and (SMBus) 700H, interrupt 9.
    device: 1,
    function: 3,
    registers: {
      0: 0x71138086,
      4: 0x02800103,
      8: 0x06800003,
      44: SUBSYSTEM,
      60: 0x0109,
      64: 0x0601,
      88: 0x02000000,
      92: 0x10000000,
      96: 0x60000000,
      128: 1,
      144: 0x0701,
      208: 0x00090000,
    },
    writable: HEADER_WRITABLE,
  },
];
