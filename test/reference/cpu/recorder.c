/*
 * Runs instruction cases on the processor of this computer and writes down what they did.
 *
 *   recorder INPUT OUTPUT
 *
 * INPUT and OUTPUT are streams of the structures below (see README.md). Each case is entered by returning from a
 * signal handler, which loads every general register, RFLAGS, RIP and CS (0x33: 64-bit, 0x23: 32-bit code), and left
 * by the next signal: the code region is filled with INT3, so that wherever the instruction leads, control comes back.
 *
 * Invariants: nothing in the handler calls the C library or uses thread-local storage (FS belongs to the cases from
 * the first one on); nothing is mapped near the data and code regions.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, DATA_PAGES = 3, DATA_SIZE = DATA_PAGES * PAGE, CODE_SIZE = 16 * PAGE };
enum { MAGIC = 0x6c617770, INT3 = 0xcc, BREAKPOINT = 3, RFLAGS_FIXED = 0x202 };
enum { SELECTOR_CODE32 = 0x23, SELECTOR_DATA = 0x2b, SELECTOR_CODE64 = 0x33 };

struct input_header {
  uint32_t magic, cases;
  uint64_t data_low, data_high, code_low, code_high, fs_base, gs_base;
  uint8_t background[DATA_SIZE];
};

struct patch {
  uint16_t offset, length;
  uint8_t bytes[];
} __attribute__((packed));

struct input_case {
  uint64_t address;
  uint64_t registers[16];
  uint32_t flags;
  uint8_t mode, code_length, patches, reserved;
  uint8_t code[];
} __attribute__((packed));

struct output_case {
  uint64_t registers[16];
  uint64_t rip, flags, cr2;
  uint32_t vector, error, changes, reserved;
};

struct change {
  uint16_t offset;
  uint8_t value, reserved;
};

/* The general registers in the order of their encoding. */
static const int register_order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                       REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static const struct input_header *header;
static const uint8_t *input;
static const struct input_case *current;
static uint32_t remaining;
static uint8_t *data, *code, *shadow;
static uint8_t *output_begin, *output, *output_end;
static int output_file;

static void copy(uint8_t *to, const uint8_t *from, size_t length) {
  for (size_t i = 0; i < length; i++) to[i] = from[i];
}

static void __attribute__((noreturn)) stop(const char *message, int status) {
  size_t length = 0;
  while (message[length] != 0) length++;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(SYS_write), "D"(2), "S"(message), "d"(length) : "rcx", "r11", "memory");
  __asm__ volatile("syscall" : "=a"(result) : "0"(SYS_exit_group), "D"(status) : "rcx", "r11", "memory");
  __builtin_unreachable();
}

static void write_output(const uint8_t *from, const uint8_t *end) {
  while (from < end) {
    long written;
    __asm__ volatile("syscall"
                     : "=a"(written)
                     : "0"(SYS_write), "D"(output_file), "S"(from), "d"(end - from)
                     : "rcx", "r11", "memory");
    if (written <= 0) stop("recorder: cannot write the output\n", 1);
    from += written;
  }
}

static uint64_t code_offset(void) {
  uint64_t base = current->address >= header->code_high ? header->code_high : header->code_low;
  return current->address - base;
}

/* Writes down the state the last case left, and puts memory back. */
static void finish(const greg_t *state) {
  struct output_case *result = (struct output_case *)output;
  for (int i = 0; i < 16; i++) result->registers[i] = state[register_order[i]];
  result->rip = state[REG_RIP];
  result->flags = state[REG_EFL];
  result->vector = state[REG_TRAPNO];
  result->error = state[REG_ERR];
  result->cr2 = state[REG_CR2];
  result->changes = 0;
  result->reserved = 0;
  struct change *change = (struct change *)(result + 1);
  for (int i = 0; i < DATA_SIZE; i += 8) {
    if (*(uint64_t *)(data + i) == *(uint64_t *)(shadow + i)) continue;
    for (int k = i; k < i + 8; k++) {
      if (data[k] == shadow[k]) continue;
      *change++ = (struct change){k, data[k], 0};
      result->changes++;
      data[k] = shadow[k];
    }
  }
  output = (uint8_t *)change;
  output += -(uintptr_t)output & 7;
  for (int i = 0; i < current->code_length; i++) code[code_offset() + i] = INT3;
  for (int i = 0; i < current->patches; i++) {
    const struct patch *patch = (const struct patch *)input;
    copy(data + patch->offset, header->background + patch->offset, patch->length);
    copy(shadow + patch->offset, header->background + patch->offset, patch->length);
    input += sizeof *patch + patch->length;
  }
}

/* Sets up the next case and the state that the return from the handler loads. */
static void begin(greg_t *state) {
  current = (const struct input_case *)input;
  input += sizeof *current + current->code_length;
  remaining--;
  copy(code + code_offset(), current->code, current->code_length);
  const uint8_t *next = input;
  for (int i = 0; i < current->patches; i++) {
    const struct patch *patch = (const struct patch *)next;
    copy(data + patch->offset, patch->bytes, patch->length);
    copy(shadow + patch->offset, patch->bytes, patch->length);
    next += sizeof *patch + patch->length;
  }
  for (int i = 0; i < 16; i++) state[register_order[i]] = current->registers[i];
  state[REG_RIP] = current->address;
  state[REG_EFL] = current->flags;
  state[REG_CSGSFS] = (state[REG_CSGSFS] & ~0xffffLL) | (current->mode == 32 ? SELECTOR_CODE32 : SELECTOR_CODE64);
  /* sigreturn leaves ID and NT as the handler has them; the last case may have set them. */
  uint64_t flags = RFLAGS_FIXED | (current->flags & (1 << 21));
  __asm__ volatile("pushq %0; popfq" : : "r"(flags) : "cc", "memory");
}

static void on_signal(int number, siginfo_t *information, void *context) {
  (void)number, (void)information;
  greg_t *state = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (current != NULL) finish(state);
  if (remaining == 0) {
    write_output(output_begin, output);
    stop("", 0);
  }
  if (output_end - output < (1 << 17)) stop("recorder: the output buffer is full\n", 1);
  begin(state);
}

static void *map(uint64_t address, size_t size, int protection, int flags, int file) {
  void *place = mmap((void *)address, size, protection, flags | (address ? MAP_FIXED_NOREPLACE : 0), file, 0);
  if (place == MAP_FAILED || (address != 0 && (uint64_t)place != address)) {
    perror("recorder: mmap");
    exit(1);
  }
  return place;
}

/* The data region twice (two pages read-write, one read-only), the code region twice, and a writable view of each. */
static void map_regions(void) {
  int data_file = memfd_create("data", 0), code_file = memfd_create("code", 0);
  if (ftruncate(data_file, DATA_SIZE) != 0 || ftruncate(code_file, CODE_SIZE) != 0) exit(1);
  data = map(0, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, data_file);
  code = map(0, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, code_file);
  shadow = map(0, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memcpy(data, header->background, DATA_SIZE);
  memcpy(shadow, header->background, DATA_SIZE);
  memset(code, INT3, CODE_SIZE);
  const uint64_t data_bases[] = {header->data_low, header->data_high};
  const uint64_t code_bases[] = {header->code_low, header->code_high};
  for (int i = 0; i < 2; i++) {
    volatile uint8_t *view = map(data_bases[i], DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, data_file);
    for (int k = 0; k < DATA_SIZE; k += PAGE) view[k] = view[k];
    if (mprotect((void *)(view + DATA_SIZE - PAGE), PAGE, PROT_READ) != 0) exit(1);
    (void)view[DATA_SIZE - 1];
    map(code_bases[i], CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_POPULATE, code_file);
  }
}

/*
 * FS and GS get the flat data descriptor, since with a null selector code that is not 64-bit could not use them, and
 * then bases of their own. The C library's thread-local storage is lost.
 */
static void load_segments(void) {
  __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(SELECTOR_DATA));
  __asm__ volatile("wrfsbase %0; wrgsbase %1" : : "r"(header->fs_base), "r"(header->gs_base));
}

int main(int count, char **arguments) {
  if (count != 3) return fprintf(stderr, "usage: recorder INPUT OUTPUT\n"), 2;
  int file = open(arguments[1], O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) return perror(arguments[1]), 1;
  header = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
  if (header == MAP_FAILED || header->magic != MAGIC) return fprintf(stderr, "recorder: not an input file\n"), 1;
  output_file = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (output_file < 0) return perror(arguments[2]), 1;
  input = (const uint8_t *)(header + 1);
  remaining = header->cases;
  size_t room = remaining * (sizeof(struct output_case) + 96) + (1 << 20);
  output = output_begin = map(0, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  output_end = output + room;
  map_regions();

  stack_t stack = {.ss_sp = map(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), .ss_size = 1 << 16};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  for (int i = 0; i < 5; i++) sigdelset(&action.sa_mask, signals[i]);
  for (int i = 0; i < 5; i++) sigaction(signals[i], &action, NULL);
  load_segments();
  __asm__ volatile("int3");
  return 1;
}
