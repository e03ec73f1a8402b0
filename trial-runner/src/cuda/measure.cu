// What a card does in a second. `KIND` says what is done, `rounds` how often.
#include "kernel.h"

#define COPY 0
#define ADD 1
#define MEET 2
#define MULTIPLY 3

// Words that a block adds to.
#define WORDS 4096

struct MeasureArguments {
  const u64* from;
  u64* into;  // of KIND 0 as many as there are, of the others one for each thread
  i64 n;
  i64 rounds;
  i64 spread;  // of KIND 1: 0 adds to one place, 1 to places that look like chance, 2 to one's own
};

#if KIND == COPY
extern "C" __global__ void __launch_bounds__(512) measure(const MeasureArguments a) {
  const i64 step = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < a.n; i += step) a.into[i] = a.from[i];
}
#elif KIND == ADD
extern "C" __global__ void __launch_bounds__(512) measure(const MeasureArguments a) {
  SHARED(raw);
  int* const words = (int*)raw;
  for (int i = threadIdx.x; i < WORDS; i += blockDim.x) words[i] = 0;
  __syncthreads();
  u32 place = threadIdx.x;
  const u32 factor = a.spread == 1 ? 1664525u : 1u;
  const u32 shift = a.spread == 1 ? 1013904223u : 0u;
  const u32 mask = a.spread == 0 ? 0u : WORDS - 1;
  const int right = a.spread == 1 ? 12 : 0;
  for (i64 round = 0; round < a.rounds; ++round) {
    atomicAdd(&words[(place >> right) & mask], 1);
    place = place * factor + shift;
  }
  __syncthreads();
  u64 sum = 0;
  for (int i = threadIdx.x; i < WORDS; i += blockDim.x) sum += (u64)words[i];
  a.into[(i64)blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
#elif KIND == MEET
extern "C" __global__ void __launch_bounds__(512) measure(const MeasureArguments a) {
  SHARED(raw);
  int* const word = (int*)raw;
  if (threadIdx.x == 0) *word = 0;
  for (i64 round = 0; round < a.rounds; ++round) {
    __syncthreads();
    // Somebody else each time, so that each meeting is needed.
    if (threadIdx.x == (u32)(round % blockDim.x)) *word += 1;
  }
  __syncthreads();
  a.into[(i64)blockIdx.x * blockDim.x + threadIdx.x] = (u64)*word;
}
#else
extern "C" __global__ void __launch_bounds__(512) measure(const MeasureArguments a) {
  double all[8];
  for (int i = 0; i < 8; ++i) all[i] = (double)(threadIdx.x + i);
  const double factor = 0.5 + (double)a.spread, shift = 1.0 + (double)a.spread;
  for (i64 round = 0; round < a.rounds; ++round)
    for (int i = 0; i < 8; ++i) all[i] = all[i] * factor + shift;
  double sum = 0.0;
  for (int i = 0; i < 8; ++i) sum += all[i];
  a.into[(i64)blockIdx.x * blockDim.x + threadIdx.x] = (u64)__double_as_longlong(sum);
}
#endif

KERNEL(measure, MeasureArguments)
