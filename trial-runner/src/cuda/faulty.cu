// Fails, and whatever its process asks of the card with it.
#include "kernel.h"

struct FaultyArguments {
  i64 n;  // threads of each block that fail
};

extern "C" __global__ void __launch_bounds__(32) faulty(const FaultyArguments a) {
  if ((i64)threadIdx.x < a.n) __trap();
}
KERNEL(faulty, FaultyArguments)
