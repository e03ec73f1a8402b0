// The one include of every kernel: what CUDA's compiler at run time (NVRTC), which has no headers of
// its own, and a C++ compiler with shim/shim.h must both know.
//
// A kernel takes one structure by value, all of whose fields have 8 bytes: pointers to device
// memory, `i64`, `double`. The last line of its file is KERNEL(name, Structure). Floating point is
// IEEE's on both sides: no contraction, no library functions beyond the square root; `exp_of` and
// `ln` are sums and products.
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
// What is seldom called, and would take registers from all around it.
#define APART static __device__ __noinline__
#else
#include "shim.h"
#define APART static
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

// The seed of three numbers, as the CPU's seed::mix makes it.
DEVICE u64 mix_of(u64 a, u64 b, u64 c) {
  u64 state = 0x9e3779b97f4a7c15ULL;
  const u64 words[3] = {a, b, c};
  for (int i = 0; i < 3; ++i) {
    u64 z = (state ^ words[i]) + 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    state = z ^ (z >> 31);
  }
  return state;
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

// The natural logarithm of what is above 0 and normal: of 2^e · m, m near 1, the series of
// 2 · artanh((m - 1) / (m + 1)).
DEVICE double ln(double x) {
  const i64 bits = __double_as_longlong(x);
  i64 exponent = ((bits >> 52) & 0x7ff) - 1023;
  double m = __longlong_as_double((bits & 0x000fffffffffffffLL) | 0x3ff0000000000000LL);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent += 1;
  }
  const double f = (m - 1.0) / (m + 1.0), square = f * f;
  double series = 0.0;
  for (int k = 21; k >= 3; k -= 2) series = (series + 1.0 / k) * square;
  const double power = (double)exponent;
  return power * __longlong_as_double(0x3fe62e42fee00000LL) +
         (power * 1.9082149292705877e-10 + (2.0 * f + 2.0 * f * series));
}
