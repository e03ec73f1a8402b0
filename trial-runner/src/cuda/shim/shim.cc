// Runs one launch of the kernel that is linked: the request on standard input, the buffers back on
// standard output. Numbers are 8 bytes in the machine's order:
//   blocks, threads, shared bytes, seed, words, buffers;
//   per word its kind (0 a buffer's index, 1 bits) and its value;
//   per buffer its length and its bytes.
// Every buffer is an allocation of its own, so that the address sanitizer sees what leaves it.
#include "shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace shim {
Block* block = nullptr;
bool is_trapped = false;

static const size_t STACK_BYTES = 256 * 1024;
static const void* arguments = nullptr;

[[noreturn]] static void fail(const char* what) {
  fprintf(stderr, "%s: %s (block %u)\n", entry.name, what, block ? block->index.x : 0);
  exit(1);
}

static void begin();

#if defined(__x86_64__)
// Saves what a call must keep and goes on where another fiber left off (System V).
extern "C" void shim_switch(void** save, void* load);
asm(R"(
.text
.globl shim_switch
.type shim_switch,@function
shim_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.section .note.GNU-stack,"",@progbits
.text
)");
static void go(void** save, void* load) { shim_switch(save, load); }
static void prepare(Fiber& fiber) {
  void** top = (void**)(fiber.stack + STACK_BYTES);
  *--top = nullptr;
  *--top = (void*)begin;
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber.stack_pointer = top;
}
#else
static void go(void** save, void* load) {
  if (!*save) *save = new ucontext_t;
  swapcontext((ucontext_t*)*save, (ucontext_t*)load);
}
static void prepare(Fiber& fiber) {
  if (!fiber.stack_pointer) fiber.stack_pointer = new ucontext_t;
  ucontext_t* own = (ucontext_t*)fiber.stack_pointer;
  getcontext(own);
  own->uc_stack.ss_sp = fiber.stack;
  own->uc_stack.ss_size = STACK_BYTES;
  own->uc_link = nullptr;
  makecontext(own, begin, 0);
}
#endif

static void begin() {
  entry.run(arguments);
  block->current->state = DONE;
  go(&block->current->stack_pointer, block->scheduler);
  abort();
}

void meet(State where) {
  Fiber* own = block->current;
  own->state = where;
  go(&own->stack_pointer, block->scheduler);
}

static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// The seed of the schedule that goes from the last thread to the first; 0 is from first to last.
static const uint64_t BACKWARDS = ~0ull;

// Lets go whoever waits where all that are left wait; whether there was anybody.
static bool release(Fiber* fibers, unsigned begin, unsigned end, State where) {
  unsigned n_there = 0, n_done = 0;
  for (unsigned i = begin; i < end; ++i) {
    n_there += fibers[i].state == where;
    n_done += fibers[i].state == DONE;
  }
  if (n_there == 0 || n_there + n_done < end - begin) return false;
  if (where == AT_BLOCK && n_done > 0) fail("a thread ended before a barrier of its block");
  for (unsigned i = begin; i < end; ++i)
    if (fibers[i].state == where) fibers[i].state = READY;
  return true;
}

static void run_block(std::vector<Fiber>& fibers, uint64_t seed) {
  const unsigned n = (unsigned)fibers.size();
  for (unsigned i = 0; i < n; ++i) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(fibers[i].stack, STACK_BYTES);
#endif
    fibers[i].index = dim3{i, 0, 0};
    fibers[i].state = READY;
    prepare(fibers[i]);
  }
  for (uint64_t round = 0;; ++round) {
    bool moved = false;
    const bool is_drawn = seed != 0 && seed != BACKWARDS;
    const uint64_t mixed = is_drawn ? mix(seed ^ mix(round ^ ((uint64_t)block->index.x << 32))) : 0;
    const uint64_t draw = seed == BACKWARDS ? 1 : mixed;
    const unsigned first = seed == BACKWARDS ? n - 1 : (unsigned)((draw >> 8) % n);
    for (unsigned k = 0; k < n; ++k) {
      Fiber& fiber = fibers[(draw & 1 ? first + n - k : first + k) % n];
      if (fiber.state != READY) continue;
      block->current = &fiber;
      moved = true;
      go(&block->scheduler, fiber.stack_pointer);
    }
    for (unsigned warp = 0; warp < n; warp += 32)
      moved |= release(fibers.data(), warp, warp + 32 < n ? warp + 32 : n, AT_WARP);
    moved |= release(fibers.data(), 0, n, AT_BLOCK);
    unsigned n_done = 0;
    for (const Fiber& fiber : fibers) n_done += fiber.state == DONE;
    if (n_done == n) return;
    if (!moved) fail("threads wait at different barriers");
  }
}

static void read(void* into, size_t n) {
  if (n > 0 && fread(into, 1, n, stdin) != n) fail("the request ends too early");
}

static uint64_t number() {
  uint64_t value;
  read(&value, sizeof value);
  return value;
}

static void launch(unsigned n_blocks, unsigned n_threads, size_t n_shared, uint64_t seed) {
  Block own = {};
  block = &own;
  own.size = dim3{n_threads, 1, 1};
  own.grid = dim3{n_blocks, 1, 1};
  std::vector<Fiber> fibers(n_threads);
  own.fibers = fibers.data();
  for (Fiber& fiber : fibers) fiber.stack = (char*)malloc(STACK_BYTES);
  for (unsigned i = 0; i < n_blocks; ++i) {
    // Other seeds begin elsewhere, and some go backwards.
    const unsigned drawn = seed ? (unsigned)(mix(seed) % n_blocks) : 0;
    const unsigned first = seed == BACKWARDS ? n_blocks - 1 : drawn;
    own.index = dim3{(seed & 1 ? first + n_blocks - i : first + i) % n_blocks, 0, 0};
    own.shared = (char*)aligned_alloc(16, (n_shared + 15) / 16 * 16);
    memset(own.shared, 0xA5, n_shared);  // nobody may count on zeros
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(own.shared + n_shared, (n_shared + 15) / 16 * 16 - n_shared);
#endif
    run_block(fibers, seed);
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(own.shared, (n_shared + 15) / 16 * 16);
#endif
    free(own.shared);
  }
  for (Fiber& fiber : fibers) free(fiber.stack);
}

static int serve() {
  const uint64_t n_blocks = number(), n_threads = number(), n_shared = number();
  const uint64_t seed = number(), n_words = number(), n_buffers = number();
  if (n_words * 8 != entry.size) fail("the kernel takes another number of words");
  if (n_threads < 1 || n_threads > 1024 || n_blocks < 1) fail("no such grid");
  std::vector<uint64_t> kinds(n_words), words(n_words), sizes(n_buffers);
  for (uint64_t i = 0; i < n_words; ++i) {
    kinds[i] = number();
    words[i] = number();
  }
  std::vector<char*> buffers(n_buffers);
  for (uint64_t i = 0; i < n_buffers; ++i) {
    sizes[i] = number();
    buffers[i] = (char*)malloc(sizes[i]);
    read(buffers[i], sizes[i]);
  }
  for (uint64_t i = 0; i < n_words; ++i)
    if (kinds[i] == 0) words[i] = (uint64_t)buffers[words[i]];
  arguments = words.data();
  launch((unsigned)n_blocks, (unsigned)n_threads, n_shared, seed);
  if (is_trapped) fail("a trap");
  for (uint64_t i = 0; i < n_buffers; ++i) {
    if (sizes[i] > 0 && fwrite(buffers[i], 1, sizes[i], stdout) != sizes[i]) return 1;
    free(buffers[i]);
  }
  return fflush(stdout);
}
}  // namespace shim

// For whoever loads the kernel as a library instead of running it as a program: one launch at a time,
// and whether it failed.
extern "C" size_t shim_bytes() { return shim::entry.size; }
extern "C" bool shim_run(unsigned n_blocks, unsigned n_threads, size_t n_shared, const void* words) {
  shim::arguments = words;
  shim::launch(n_blocks, n_threads, n_shared, 0);
  return !shim::is_trapped;
}

int main() { return shim::serve(); }
