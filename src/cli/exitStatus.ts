/** How the command line ends: its exit statuses. Errors of the user are `UsageError` and `ImageError` of src/boot. */

/** Exit statuses of `pagewalk` (the guest's own status comes between, where it exited with one). */
export const EXIT_OK = 0;
export const EXIT_USAGE = 2;
export const EXIT_LIMIT = 3;
export const EXIT_MACHINE = 4;
/** An error of Pagewalk itself (EX_SOFTWARE of sysexits.h). */
export const EXIT_INTERNAL = 70;
/** 128 + SIGINT, as a shell reports it. */
export const EXIT_INTERRUPTED = 130;
/** 128 + SIGPIPE. */
export const EXIT_BROKEN_PIPE = 141;
