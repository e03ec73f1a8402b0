// Gradient boosting, many fits in one launch: the trees of the CPU's boost.rs, to the bit.
//
// A block takes fit after fit from a queue. Trees grow level by level: the histogram of each smaller
// child is made from rows, the larger one's is the parent's less that, in the parent's place. Where a
// tree has more leaves than it may after a level, the best-first order is followed among the splits
// that were found, and the others are undone: a node's split does not depend on when it is found, and
// what deeper levels find only lets others wait longer. So a level is never wider than the tree has
// leaves, however deep it is. Sums are whole numbers throughout, so no order of threads changes
// anything.
//
// -DWIDE=0: words of 32 bits (gradient and count); 1: of 64. -DLEAVES: the most of a tree, even.
// -DTHREADS: of a block, a multiple of 32. Dynamic shared memory holds histograms, and rows' words, where they fit;
// `scratch`, `scratch_bytes` a block, holds the rest. Only `out`, `next` and `scratch` are written.
// One text, of kinds.cu, words.cu, slopes.cu, splits.cu, leaves.cu and fit.cu in this order
// (cuda/boost.rs).
#include "kernel.h"

#if WIDE
typedef u64 Bits;
#else
typedef u32 Bits;
#endif

#define N_NODES (2 * LEAVES - 1)
#define N_PAIRS (LEAVES - 1)
#define N_WARPS (THREADS / 32)
#define ALL 0xffffffffu

enum LossKind { SQUARED, HUBER, POISSON, TWEEDIE, LOGISTIC, SOFTMAX, ABSOLUTE, QUANTILE };

// A fit. What has no unit is an offset into one of the arrays of `BoostArguments`.
struct Task {
  i64 n_rows, n_columns, n_bins;
  i64 codes, columns, targets;
  i64 weights;  // -1: all rows weigh 1
  i64 roles;    // of each row: 1 is learnt from, 2 its score is wanted
  i64 watched, n_watched;
  i64 marks, n_marks;  // after how many rounds scores are told, ascending
  i64 initial, out;
  i64 loss, n_scores;
  double parameter;  // of the loss
  i64 n_rounds;
  double learning_rate;
  i64 max_depth, max_leaves;
  i64 n_slots;  // histograms that it has at once
  i64 min_child_samples;
  double min_child_weight, min_split_gain, alpha, lambda;
  i64 n_learnt, n_drawn_rows, n_drawn_columns, is_sampled, has_all_columns, seed;
  i64 is_flat, count_bits, curvature_bits;
};

struct Column {
  i64 first_bin, n_bins;
  i64 missing;  // its code; -1: none
};

struct BoostArguments {
  const Task* tasks;
  i64 n_tasks;
  i32* next;
  const u8* codes;  // row after row
  const Column* columns;
  const double* targets;
  const double* weights;
  const u8* roles;
  const i32* watched;
  const i64* marks;
  const double* initial;
  double* out;  // by mark, by watched row, by score
  u8* scratch;
  i64 scratch_bytes, shared_bytes;
};

// The memory of the fit that a block works on.
struct Own {
  const u8* codes;
  const Column* columns;
  const double* targets;
  const double* weights;
  const u8* roles;
  double* scores;  // class after class, as are the shares
  double* shares;
  double* slopes;
  double* curves;
  Bits* words;
  unsigned short* nodes;
  u8* drawn;
  u8* chosen;
  Bits* bins;
};

// What all splits of a tree share: the CPU's Terms, in the units of its words.
struct Terms {
  double slope_unit, curve_unit;  // of exact sums
  double gradient_scale, curvature_scale;
  double min_curvature, min_count, alpha, lambda;
};

// What a tree needs while it grows. The nodes of a level come in pairs, whose place is 2p and 2p+1;
// every other level has its own side.
struct Growing {
  double gain[N_NODES];
  u64 best[LEAVES];  // by place, as the next ones
  Bits left[LEAVES];
  short level[2][LEAVES];  // its nodes
  short slot[2][LEAVES];
  u8 is_built[2][LEAVES];
  short place[N_NODES];  // -1: not of this level
  // For the order of a tree that has too many leaves.
  short waiting[LEAVES];
  short number[N_NODES];
  u8 is_kept[N_NODES];
  short unused[LEAVES];  // pairs, or histograms
  u8 is_used[LEAVES];
};

// Exact sums, and what leaves say.
struct Saying {
  u64 slope[N_NODES];
  u64 curve[N_NODES];
  double value[N_NODES];
};

// A tree. Node 0 is its root; the children of a node are the nodes 2q+1 and 2q+2 of a pair q.
struct Tree {
  Bits total[N_NODES];
  short column[N_NODES];  // of the split; -1: a leaf
  short pair[N_NODES];    // of its children; -1: it has none
  short parent[N_PAIRS];
  u8 is_live[N_PAIRS];
  u8 last[N_NODES];
  u8 missing_left[N_NODES];
  u8 is_open[N_NODES];  // may be split
  i32 n_level[2], n_splits;
  union {
    Growing growing;
    Saying saying;
  };
};

struct Meeting {
  double reals[2][N_WARPS];
  u64 wholes[2][N_WARPS];
};

const double ROUND = 6755399441055744.0;
const double GREATEST = 1.7976931348623157e308;
