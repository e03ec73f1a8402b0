// CUDA's words for a C++ compiler: a thread of a block is a fiber, blocks run one after another.
//
// Barriers and shuffles are points where fibers really meet, so a missing or divergent one shows.
// Fibers change only there, in an order that the schedule's seed decides. What it cannot show: races
// that need true concurrency, and the lockstep of a warp.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dim3 {
  unsigned x, y, z;
};

namespace shim {
struct Fiber {
  void* stack_pointer;
  char* stack;
  dim3 index;
  unsigned long long slot;  // what a shuffle lends to the other lanes
  int state;
};
struct Block {
  dim3 index, size, grid;
  Fiber* fibers;
  Fiber* current;
  char* shared;
  void* scheduler;
};
extern Block* block;

enum State { READY, AT_BLOCK, AT_WARP, DONE };
void meet(State where);

struct Entry {
  const char* name;
  size_t size;  // of the arguments
  void (*run)(const void* arguments);
};
extern const Entry entry;  // of the one kernel that is linked
extern bool is_trapped;    // whether a thread of the launch failed
}  // namespace shim

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __constant__ static
#define __shared__ static
#define __restrict__ __restrict
#define threadIdx (shim::block->current->index)
#define blockIdx (shim::block->index)
#define blockDim (shim::block->size)
#define gridDim (shim::block->grid)

#define SHARED(name) unsigned char* name = (unsigned char*)shim::block->shared
#define KERNEL(kernel, Structure)                                     \
  static_assert(sizeof(Structure) % 8 == 0, "fields of 8 bytes");     \
  static void kernel##_run(const void* arguments) {                   \
    Structure own;                                                    \
    memcpy(&own, arguments, sizeof own);                              \
    kernel(own);                                                      \
  }                                                                   \
  extern const shim::Entry shim::entry = {#kernel, sizeof(Structure), kernel##_run};

inline void __syncthreads() { shim::meet(shim::AT_BLOCK); }
inline void __syncwarp(unsigned = ~0u) { shim::meet(shim::AT_WARP); }
inline void __trap() { shim::is_trapped = true; }
inline void __threadfence() {}
inline void __threadfence_block() {}

// Fibers change at barriers only: plain operations are atomic. Signed sums wrap, as on a card.
inline int atomicAdd(int* at, int value) {
  const int old = *at;
  *at = (int)((unsigned)old + (unsigned)value);
  return old;
}
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  const unsigned old = *at;
  *at = old + value;
  return old;
}
inline unsigned long long atomicAdd(unsigned long long* at, unsigned long long value) {
  const unsigned long long old = *at;
  *at = old + value;
  return old;
}
template <class T> inline T atomicMax(T* at, T value) {
  const T old = *at;
  if (value > old) *at = value;
  return old;
}
template <class T> inline T atomicMin(T* at, T value) {
  const T old = *at;
  if (value < old) *at = value;
  return old;
}
template <class T> inline T atomicOr(T* at, T value) {
  const T old = *at;
  *at = old | value;
  return old;
}
template <class T> inline T atomicCAS(T* at, T compare, T value) {
  const T old = *at;
  if (old == compare) *at = value;
  return old;
}

// All lanes of a warp must come; lanes beyond the block are nobody.
template <class T> inline T __shfl_sync(unsigned, T value, int source, int width = 32) {
  static_assert(sizeof(T) <= 8, "a shuffle moves up to 8 bytes");
  const unsigned thread = threadIdx.x, lane = thread & 31u;
  memcpy(&shim::block->current->slot, &value, sizeof value);
  shim::meet(shim::AT_WARP);
  const unsigned from = (thread & ~31u) + ((lane & ~(unsigned)(width - 1)) |
                                           ((unsigned)source & (unsigned)(width - 1)));
  T answer = value;
  if (from < blockDim.x) memcpy(&answer, &shim::block->fibers[from].slot, sizeof answer);
  shim::meet(shim::AT_WARP);
  return answer;
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = (int)(threadIdx.x & (unsigned)(width - 1));
  return __shfl_sync(mask, value, lane >= (int)by ? lane - (int)by : lane, width);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = (int)(threadIdx.x & (unsigned)(width - 1));
  return __shfl_sync(mask, value, lane + (int)by < width ? lane + (int)by : lane, width);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32) {
  return __shfl_sync(mask, value, (int)(threadIdx.x & (unsigned)(width - 1)) ^ by, width);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  unsigned votes = 0;
  shim::block->current->slot = predicate != 0;
  shim::meet(shim::AT_WARP);
  const unsigned first = threadIdx.x & ~31u;
  for (unsigned lane = 0; lane < 32 && first + lane < blockDim.x; ++lane)
    votes |= (unsigned)shim::block->fibers[first + lane].slot << lane;
  shim::meet(shim::AT_WARP);
  return votes & mask;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <class To, class From> inline To shim_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same size");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
inline unsigned __float_as_uint(float x) { return shim_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return shim_bits<float>(x); }
inline int __float_as_int(float x) { return shim_bits<int>(x); }
inline float __int_as_float(int x) { return shim_bits<float>(x); }
inline long long __double_as_longlong(double x) { return shim_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return shim_bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline float __fdividef(float a, float b) { return a / b; }

#define SHIM_ORDER(T)                                        \
  inline T min(T a, T b) { return b < a ? b : a; }           \
  inline T max(T a, T b) { return a < b ? b : a; }
SHIM_ORDER(int)
SHIM_ORDER(unsigned)
SHIM_ORDER(long long)
SHIM_ORDER(unsigned long long)
#undef SHIM_ORDER
