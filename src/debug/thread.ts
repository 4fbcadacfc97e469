/** The one CPU is the one thread of the protocol. */
export const THREAD_ID = 1;
