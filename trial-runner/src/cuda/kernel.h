// The one include of every kernel: what CUDA's compiler at run time (NVRTC), which has no headers of
// its own, and a C++ compiler with shim/shim.h must both know.
//
// A kernel takes one structure by value, all of whose fields have 8 bytes: pointers to device
// memory, `i64`, `double`. The last line of its file is KERNEL(name, Structure). Floating point is
// IEEE's on both sides: no contraction, no library functions beyond the square root; `exp_of` and
// `log_of` are sums and products.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

#if defined(__CUDACC_RTC__)
// Memory that a launch gives to each block, of 16 bytes' alignment.
#define SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#define KERNEL(name, Structure) static_assert(sizeof(Structure) % 8 == 0, "fields of 8 bytes");
#else
#include "shim.h"
#endif

#define DEVICE static __device__ __forceinline__

// Cuts a piece of memory off what is left; all pieces begin at 8 bytes.
DEVICE u8* cut(u8*& rest, i64 n_bytes) {
  u8* own = rest;
  rest += (n_bytes + 7) / 8 * 8;
  return own;
}

// Shared memory adds 32 bits at once, and 64 only in a loop: two halves with a carry are as exact.
DEVICE void add_wide(u64* at, u64 value) {
  u32* halves = (u32*)at;
  const u32 low = (u32)value;
  const u32 old = atomicAdd(&halves[0], low);
  const u32 high = (u32)(value >> 32) + (u32)((u32)(old + low) < old);
  if (high != 0) atomicAdd(&halves[1], high);
}

// The CPU's boost/exp.rs, operation by operation.
DEVICE double exp_of(double x) {
  const double ROUND = 6755399441055744.0;
  const double LN_2_HIGH = __longlong_as_double(0x3fe62e42fee00000LL);
  const double LN_2_LOW = 1.9082149292705877e-10;
  x = x < -350.0 ? -350.0 : x;
  x = x > 350.0 ? 350.0 : x;
  const double shifted = x * 1.4426950408889634 + ROUND;
  const double power = shifted - ROUND;
  const double rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
  double series = 0.0;
  series = series * rest + 1.0 / 6227020800.0;
  series = series * rest + 1.0 / 479001600.0;
  series = series * rest + 1.0 / 39916800.0;
  series = series * rest + 1.0 / 3628800.0;
  series = series * rest + 1.0 / 362880.0;
  series = series * rest + 1.0 / 40320.0;
  series = series * rest + 1.0 / 5040.0;
  series = series * rest + 1.0 / 720.0;
  series = series * rest + 1.0 / 120.0;
  series = series * rest + 1.0 / 24.0;
  series = series * rest + 1.0 / 6.0;
  series = series * rest + 0.5;
  const double value = 1.0 + (rest + rest * rest * series);
  const u64 round = (u64)__double_as_longlong(ROUND);
  const u64 exponent = (u64)__double_as_longlong(shifted) - round + 1023;
  return value * __longlong_as_double((i64)(exponent << 52));
}
