// Small networks, many trainings in one launch: the CPU's trainer/mlp/train.rs, to the bit.
//
// A block takes training after training from a queue. Sums over units below are one thread's, in
// their order; sums over the rows of a batch are in LANES parts, a lane each, as on the CPU. Batches
// stand unit after unit, padded with rows of zeros to a multiple of LANES.
//
// -DTHREADS: of a block, a multiple of 32. Dynamic shared memory holds weights and their moments,
// where they fit; `scratch`, `scratch_bytes` a block, the rest (`lay_out`). Only `out`, `next` and
// `scratch` are written. One text, of kinds.cu, layers.cu and train.cu in this order (cuda/mlp.rs).
#include "kernel.h"

#define ALL 0xffffffffu
#define LANES 8
#define TILE 4
#define FADE_FIRST 0.9f
#define FADE_SECOND 0.999f
#define LEAST 1e-8f

enum Kind { NUMBERS, TWO_CLASSES, CLASSES };

// A training. What has no unit is an offset into one of the arrays of `MlpArguments`.
struct Task {
  i64 n_rows, n_layers;
  i64 units;    // of the features, and of each layer
  i64 values;   // of the rows, feature after feature
  i64 targets;  // numbers, or classes by number
  i64 weights;  // of rows; -1: all weigh 1
  i64 train, n_train;
  i64 held, n_held;  // rows that say when it is enough
  i64 ahead, n_ahead;  // values of the rows to predict for
  i64 start, n_weights;  // each layer's weights, then its biases
  i64 kind, is_tanh;
  double learning_rate, alpha;
  i64 batch_size, n_epochs;
  i64 patience;  // epochs without gain; 0: as many as there are
  i64 seed;
  i64 most_rows, widest;  // of a batch, and of a layer
  i64 out;  // the last layer's sums of the rows to predict for, unit after unit
};

struct MlpArguments {
  const Task* tasks;
  i64 n_tasks;
  i32* next;
  const i64* units;
  const float* reals;  // values, targets, weights of rows, and first weights
  const i32* rows;
  float* out;
  u8* scratch;
  i64 scratch_bytes, shared_bytes;
};

// The memory of the training that a block works on.
struct Own {
  const i64* units;
  float* weights;
  float* first;   // running means of slopes,
  float* second;  // and of their squares
  float* best;
  float* values;  // the features of a batch, then what each layer says
  float* slopes;
  float* below;
  u32* rows;
};

struct Step {
  float size, alpha, n_rows;
};

// cuda/mlp/plan.rs counts the same.
DEVICE Own lay_out(const MlpArguments& a, const Task& k, u8* shared) {
  Own own;
  own.units = a.units + k.units;
  i64 n_units = 0;
  for (i64 layer = 0; layer <= k.n_layers; ++layer) n_units += own.units[layer];
  u8* rest = a.scratch + (i64)blockIdx.x * a.scratch_bytes;
  const bool has_room = 3 * ((4 * k.n_weights + 7) / 8 * 8) <= a.shared_bytes;
  u8*& quick = has_room ? shared : rest;
  own.weights = (float*)cut(quick, 4 * k.n_weights);
  own.first = (float*)cut(quick, 4 * k.n_weights);
  own.second = (float*)cut(quick, 4 * k.n_weights);
  own.best = (float*)cut(rest, k.patience > 0 ? 4 * k.n_weights : 0);
  own.values = (float*)cut(rest, 4 * n_units * k.most_rows);
  own.slopes = (float*)cut(rest, 4 * k.widest * k.most_rows);
  own.below = (float*)cut(rest, 4 * k.widest * k.most_rows);
  own.rows = (u32*)cut(rest, 4 * k.most_rows);
  return own;
}

// trainer/mlp/shuffle.rs: what stands at a place of an order of `n` things.
DEVICE u32 shuffled(u64 key, u32 n, u32 place) {
  const int all = n > 1 ? 32 - __clz((int)(n - 1)) : 0, bits = (all + 1) / 2;
  const u32 mask = (u32)((1ULL << bits) - 1);
  u32 own = place;
  do {
    u32 high = (u32)((u64)own >> bits), low = own & mask;
    for (u32 round = 0; round < 4; ++round) {
      const u32 part = (u32)(key >> (16 * round));
      u32 mixed = (low ^ part) * 0x9e3779b1u + round;
      mixed = (mixed ^ (mixed >> 15)) * 0x85ebca6bu;
      mixed ^= mixed >> 13;
      const u32 next = high ^ (mixed & mask);
      high = low;
      low = next;
    }
    own = (u32)((u64)high << bits | low);
  } while (own >= n);
  return own;
}
