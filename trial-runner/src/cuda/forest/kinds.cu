// Random forests and extra trees, many trees in one launch: those of the CPU's forest/, to the bit.
//
// A block is one warp and takes tree after tree from a queue. Nodes follow each other in the CPU's
// order, because all of a tree's draws come from one stream; lanes share the rows of a node and the
// codes of a column. Up to 32 rows are sorted in registers, more go into a histogram: both find what
// the CPU's ways find. Sums are whole numbers, so no order of lanes changes anything. Means of
// leaves are summed by one lane each, row after row.
//
// -DCLASSES=0: a word a row (numbers, and two classes by Gini impurity); 1: counts of more classes.
// Dynamic shared memory holds what fits, `scratch`, `scratch_bytes` a block, the rest (`lay_out`).
// Only `leaves`, `next` and `scratch` are written. One text, of kinds.cu, splits.cu and grow.cu in
// this order (cuda/forest.rs).
#include "kernel.h"

#define ALL 0xffffffffu
#define N_BINS 256
// In place of a leaf, for a row that the tree has seen: a number that no arithmetic makes.
#define SEEN 0x7ff80000000f17e5LL

// A fit. What has no unit is an offset into one of the arrays of `ForestArguments`.
struct Task {
  i64 n_rows, n_columns, columns;
  i64 words;    // of each row; with several classes none are read
  i64 targets;  // numbers, or classes by number
  i64 weights;  // -1: all rows weigh 1
  i64 rows, n_learnt;
  i64 watched, n_watched, is_out_of_bag;
  i64 width;    // numbers of a leaf: one, or one a class
  i64 leaves;   // by tree, by watched row, by number
  i64 is_random, max_depth, min_split, min_leaf, n_features;
  i64 n_drawn;  // -1: every row once
  i64 is_shuffled;
  double min_decrease, weight_scale, scale, disorder;
  i64 weight_bits;
};

struct Column {
  i64 codes, n_values;  // the code of a missing value comes after those of values
  i64 least, most, cuts, guide;
  double scale;
};

struct Sprout {
  i64 task, number;  // of the tree in its fit
  u64 low, high;     // its stream
};

struct ForestArguments {
  const Task* tasks;
  const Sprout* sprouts;
  i64 n_sprouts;
  i32* next;
  const u8* codes;  // column after column
  const Column* columns;
  const double* reals;
  const u8* guides;
  const double* targets;
  const double* weights;
  const i64* words;
  const i32* rows;  // to learn from, and watched
  double* leaves;
  u8* scratch;
  i64 scratch_bytes, shared_bytes;
};

struct Node {
  i32 column;  // -1: a leaf
  i32 value;   // the last code that goes left, or the leaf's number
  i32 right, missing_left;
};

struct Pending {
  i32 start, end, depth, parent, is_leaf;
};

struct Bounds {
  i32 start, end;
};

// The memory of the tree that a block grows.
struct Own {
  i64* bins;
  u32* counts;  // rows of each bin
  u32* lots;    // with classes: of each class and bin
  u32* total;   // of each class
  u32* before;  // of each class, in the bins before
  u16* features;
  u16* rows;    // node after node
  u16* spare;
  u16* draws;   // how often each row was drawn
  i64* items;   // of the node's rows
  Node* nodes;
  Pending* pending;
  Bounds* bounds;  // of leaves
  double* values;
};

// The node that is split.
struct Here {
  i64 start, end;
  i64 item;  // of this lane's row, where the node has up to 32
  i64 total;
  double weight, mean;
  double squares;  // with classes: of their counts
};

struct Best {
  double score;  // below 0: none
  i64 column;
  i32 last, next;
  bool missing_left;
};

// The CPU's Pcg64Mcg.
struct Stream {
  u64 low, high;
};

DEVICE u64 next_of(Stream& stream) {
  const u64 low = 0x4385df649fccf645ULL, high = 0x2360ed051fc65da4ULL;
  stream.high = __umul64hi(stream.low, low) + stream.low * high + stream.high * low;
  stream.low *= low;
  const int by = (int)(stream.high >> 58);
  const u64 both = stream.high ^ stream.low;
  return both >> by | both << ((64 - by) & 63);
}

DEVICE i64 below(Stream& stream, i64 n) { return (i64)__umul64hi(next_of(stream), (u64)n); }

DEVICE double share_of(Stream& stream) {
  return (double)(next_of(stream) >> 11) / 9007199254740992.0;
}

DEVICE int lane_of() { return threadIdx.x & 31; }
DEVICE u32 before_me() { return (1u << lane_of()) - 1u; }

// Sums of this lane and those before it.
template <class T> DEVICE T running(T value) {
  for (int by = 1; by < 32; by <<= 1) {
    const T other = __shfl_up_sync(ALL, value, by);
    if (lane_of() >= by) value += other;
  }
  return value;
}

template <class T> DEVICE T total_of(T value) {
  for (int by = 16; by > 0; by >>= 1) value += __shfl_xor_sync(ALL, value, by);
  return value;
}

// Shared memory as long as there is some, else the device's.
struct Store {
  u8* quick;
  u8* rest;
  i64 n_left;
};

template <class T> DEVICE T* cut_from(Store& store, i64 n) {
  const i64 n_bytes = (n * (i64)sizeof(T) + 7) / 8 * 8;
  const bool fits = n_bytes <= store.n_left;
  if (fits) store.n_left -= n_bytes;
  return (T*)cut(fits ? store.quick : store.rest, n_bytes);
}

// cuda/forest/plan.rs counts the same.
DEVICE Own lay_out(const ForestArguments& a, const Task& k, u8* shared) {
  Store store = {shared, a.scratch + (i64)blockIdx.x * a.scratch_bytes, a.shared_bytes};
  Own own;
  own.counts = cut_from<u32>(store, N_BINS);
  own.bins = cut_from<i64>(store, CLASSES ? 0 : N_BINS);
  own.total = cut_from<u32>(store, CLASSES ? k.width : 0);
  own.before = cut_from<u32>(store, CLASSES ? k.width : 0);
  own.lots = cut_from<u32>(store, CLASSES ? N_BINS * k.width : 0);
  own.features = cut_from<u16>(store, k.n_columns);
  own.rows = cut_from<u16>(store, k.n_learnt);
  own.draws = cut_from<u16>(store, k.n_rows);
  own.spare = cut_from<u16>(store, k.n_learnt);
  own.items = cut_from<i64>(store, k.n_learnt);
  own.pending = cut_from<Pending>(store, k.n_learnt + 1);
  own.nodes = cut_from<Node>(store, 2 * k.n_learnt);
  own.bounds = cut_from<Bounds>(store, k.n_learnt);
  own.values = cut_from<double>(store, k.n_learnt * k.width);
  return own;
}
