// The second part of the kernel: numbers, rows' words, and sums over a block.
DEVICE i64 whole_of(double number, double scale) {
  return (i64)((u64)__double_as_longlong(number * scale + ROUND) -
               (u64)__double_as_longlong(ROUND));
}

// boost/exact.rs: a unit, as its scale.
DEVICE double unit_of(double largest, i64 n) {
  if (!(largest > 0.0) || largest > GREATEST) return 0.0;
  const int n_bits = 64 - __clzll(n);
  const int bits = min(50, 61 - n_bits);
  const int exponent = (int)((u64)__double_as_longlong(largest) >> 52 & 0x7ff) - 1023;
  const int power = max(-1000, min(1000, bits - 1 - exponent));
  return __longlong_as_double((i64)(power + 1023) << 52);
}

DEVICE double number_of(i64 sum, double unit) { return unit == 0.0 ? 0.0 : (double)sum / unit; }

DEVICE double sigmoid_of(double x) { return 1.0 / (1.0 + exp_of(-x)); }

// boost/word.rs.
DEVICE i32 gradient_of(Bits word, const Task& k) {
#if WIDE
  return (i32)(word >> 32) >> (k.count_bits + k.curvature_bits - 32);
#else
  return (i32)word >> k.count_bits;
#endif
}

DEVICE i32 count_of(Bits word, const Task& k) {
  return (i32)((u32)word & ((1u << k.count_bits) - 1u));
}

DEVICE i32 curvature_of(Bits word, const Task& k) {
#if WIDE
  const u32 mask = (u32)((1ULL << k.curvature_bits) - 1);
  return (i32)((u32)(word >> k.count_bits) & mask);
#else
  return count_of(word, k);
#endif
}

DEVICE Bits pack(i32 gradient, i32 curvature, const Task& k) {
#if WIDE
  return ((u64)(i64)gradient << (k.count_bits + k.curvature_bits)) +
         ((u64)(i64)curvature << k.count_bits) + (u64)(k.count_bits > 0);
#else
  (void)curvature;
  return ((u32)gradient << k.count_bits) + 1u;
#endif
}

// Rows of a node.
DEVICE i32 rows_of(Bits word, const Task& k) {
  return k.count_bits > 0 ? count_of(word, k) : curvature_of(word, k);
}

DEVICE void add_word(Bits* at, Bits word) {
#if WIDE
  add_wide(at, word);
#else
  atomicAdd(at, word);
#endif
}

// The greatest of two numbers each over a block; none is negative.
DEVICE void greatest(Meeting& meeting, double& a, double& b) {
  for (int by = 16; by > 0; by >>= 1) {
    const double x = __shfl_xor_sync(ALL, a, by), y = __shfl_xor_sync(ALL, b, by);
    a = x > a ? x : a;
    b = y > b ? y : b;
  }
  const int lane = threadIdx.x & 31;
  if (lane == 0) {
    meeting.reals[0][threadIdx.x >> 5] = a;
    meeting.reals[1][threadIdx.x >> 5] = b;
  }
  __syncthreads();
  for (int warp = 0; warp < N_WARPS; ++warp) {
    const double x = meeting.reals[0][warp], y = meeting.reals[1][warp];
    a = x > a ? x : a;
    b = y > b ? y : b;
  }
  __syncthreads();
}

// The sums of two whole numbers each over a block.
DEVICE void total(Meeting& meeting, u64& a, u64& b) {
  for (int by = 16; by > 0; by >>= 1) {
    a += __shfl_xor_sync(ALL, a, by);
    b += __shfl_xor_sync(ALL, b, by);
  }
  if ((threadIdx.x & 31) == 0) {
    meeting.wholes[0][threadIdx.x >> 5] = a;
    meeting.wholes[1][threadIdx.x >> 5] = b;
  }
  __syncthreads();
  a = 0;
  b = 0;
  for (int warp = 0; warp < N_WARPS; ++warp) {
    a += meeting.wholes[0][warp];
    b += meeting.wholes[1][warp];
  }
  __syncthreads();
}
