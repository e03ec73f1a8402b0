// Gradient boosting, many fits in one launch: the trees of the CPU's boost.rs, to the bit.
//
// A block takes fit after fit from a queue. Trees grow level by level: the histogram of each smaller
// child is made from rows, the larger one's is the parent's less that, in the parent's place. Where a
// tree would have more leaves than it may, the best-first order is followed among the splits that
// were found, and the others are undone: a node's split does not depend on when it is found.
// Sums are whole numbers throughout, so no order of threads changes anything.
//
// -DWIDE=0: words of 32 bits (gradient and count); 1: of 64. -DDEPTH: the deepest tree. -DTHREADS: of a
// block, a multiple of 32. Dynamic shared memory holds histograms, and rows' words, where they fit;
// `scratch`, `scratch_bytes` a block, holds the rest. Only `out`, `next` and `scratch` are written.
// Long, because a kernel is one text.
#include "kernel.h"

#if WIDE
typedef u64 Bits;
#else
typedef u32 Bits;
#endif

#define N_NODES ((2 << DEPTH) - 1)
#define N_LEVEL (1 << (DEPTH - 1))
#define N_WARPS (THREADS / 32)
#define ALL 0xffffffffu

enum LossKind { SQUARED, HUBER, POISSON, TWEEDIE, LOGISTIC, SOFTMAX };

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
  i64 max_depth, max_leaves, min_child_samples;
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

// A tree as it grows; node k's children are 2k+1 and 2k+2.
struct Tree {
  Bits total[N_NODES];
  short column[N_NODES];  // of the split; -1: a leaf
  u8 last[N_NODES];
  u8 missing_left[N_NODES];
  u8 is_open[N_NODES];  // may be split
  double gain[N_NODES];
  // By place in the level.
  u64 best[N_LEVEL];
  short slot[2][N_LEVEL];
  u8 is_built[2][N_LEVEL];
  i32 n_open, n_splits;
  // Exact sums and what leaves say.
  u64 slope[N_NODES];
  u64 curve[N_NODES];
  double value[N_NODES];
  // For the order of a tree that has too many leaves.
  short waiting[N_LEVEL * 2];
  short number[N_NODES];
  u8 is_kept[N_NODES];
};

struct Meeting {
  double reals[2][N_WARPS];
  u64 wholes[2][N_WARPS];
};

const double ROUND = 6755399441055744.0;
const double GREATEST = 1.7976931348623157e308;

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

// Shared memory adds 32 bits at once, and 64 only in a loop: two halves with a carry are as exact.
DEVICE void add_wide(u64* at, u64 value) {
  u32* halves = (u32*)at;
  const u32 low = (u32)value;
  const u32 old = atomicAdd(&halves[0], low);
  const u32 high = (u32)(value >> 32) + (u32)((u32)(old + low) < old);
  if (high != 0) atomicAdd(&halves[1], high);
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

// boost/draw.rs, from the first of `n` things that `holds` says are there.
DEVICE void draw(u8* drawn, const u8* roles, i64 n_all, i64 n, i64 n_wanted, u64 seed) {
  u64 state = seed;
  i64 n_after = n;
  for (i64 i = 0; i < n_all; ++i) {
    drawn[i] = 0;
    if (roles && !(roles[i] & 1)) continue;
    n_after -= 1;
    state += 0x9e3779b97f4a7c15ULL;
    u64 z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    const bool is_drawn = (i64)__umul64hi(z, (u64)(n_after + 1)) < n_wanted;
    n_wanted -= is_drawn;
    drawn[i] = is_drawn;
  }
}

// The classes' probabilities, before the trees of a round.
DEVICE void share_out(const Task& k, const Own& own) {
  const i64 n = k.n_rows;
  for (i64 i = threadIdx.x; i < n; i += THREADS) {
    if (!(own.roles[i] & 1)) continue;
    double top = -__longlong_as_double(0x7ff0000000000000LL);
    for (i64 c = 0; c < k.n_scores; ++c) {
      const double score = own.scores[c * n + i];
      top = score > top ? score : top;
    }
    double sum = 0.0;
    for (i64 c = 0; c < k.n_scores; ++c) {
      const double share = exp_of(own.scores[c * n + i] - top);
      own.shares[c * n + i] = share;
      sum += share;
    }
    for (i64 c = 0; c < k.n_scores; ++c) own.shares[c * n + i] /= sum;
  }
}

// boost/loss.rs: first and second derivative.
DEVICE void slope_of(const Task& k, const Own& own, i64 i, i64 c, double& first, double& second) {
  const double target = own.targets[i], score = own.scores[c * k.n_rows + i];
  second = 1.0;
  switch (k.loss) {
    case HUBER: {
      const double error = score - target;
      first = error < -k.parameter ? -k.parameter : error;
      first = first > k.parameter ? k.parameter : first;
      return;
    }
    case POISSON: {
      const double mean = exp_of(score);
      first = mean - target;
      second = mean * 2.0137527074704766;
      return;
    }
    case TWEEDIE: {
      const double power = k.parameter;
      const double one = exp_of((1.0 - power) * score), two = exp_of((2.0 - power) * score);
      first = two - target * one;
      second = (2.0 - power) * two - target * (1.0 - power) * one;
      return;
    }
    case LOGISTIC: {
      const double share = sigmoid_of(score);
      first = share - target;
      second = share * (1.0 - share);
      return;
    }
    case SOFTMAX: {
      const double classes = (double)k.n_scores;
      const double others = classes - 1.0 > 1.0 ? classes - 1.0 : 1.0;
      const double factor = classes / others;
      const double share = own.shares[c * k.n_rows + i];
      first = share - ((i64)target == c ? 1.0 : 0.0);
      second = factor * share * (1.0 - share);
      return;
    }
    default:
      first = score - target;
  }
}

// Slopes and curvatures of the tree's rows, their units, and the sums of their sizes.
DEVICE void slope_all(const Task& k, const Own& own, Meeting& meeting, i64 c, Terms& terms,
                      u64& slopes, u64& curves) {
  double slope = 0.0, curve = 0.0;
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    own.nodes[i] = 0;
    if (!own.drawn[i]) continue;
    double first, second;
    slope_of(k, own, i, c, first, second);
    if (own.weights) {
      first *= own.weights[i];
      second *= own.weights[i];
    }
    own.slopes[i] = first;
    own.curves[i] = second;
    const double size = fabs(first);
    slope = size > slope ? size : slope;
    curve = second > curve ? second : curve;
  }
  greatest(meeting, slope, curve);
  terms.slope_unit = unit_of(slope, k.n_learnt);
  terms.curve_unit = unit_of(curve, k.n_learnt);
  slopes = 0;
  curves = 0;
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    if (!own.drawn[i]) continue;
    slopes += (u64)whole_of(fabs(own.slopes[i]), terms.slope_unit);
    if (!k.is_flat) curves += (u64)whole_of(own.curves[i], terms.curve_unit);
  }
  total(meeting, slopes, curves);
}

// The units of words, as fine as the sums allow, and the limits in them. False: no tree can grow.
DEVICE bool settle(const Task& k, u64 slopes, u64 curves, Terms& terms) {
  const double n = (double)k.n_drawn_rows;
  const double rounding = n / 2.0 + 1.0;
  const i64 gradient_bits = WIDE ? 63 - k.count_bits - k.curvature_bits : 31 - k.count_bits;
  const double most = (double)(u32)(1ULL << gradient_bits) - rounding;
  terms.gradient_scale = most / number_of((i64)slopes, terms.slope_unit);
  terms.curvature_scale = 1.0;
  double rows_per_curvature = 1.0;
  if (!k.is_flat) {
    const i64 bits = k.curvature_bits < 31 ? k.curvature_bits : 31;
    const double most_curvature = (double)((1u << bits) - 1u) - rounding;
    terms.curvature_scale = most_curvature / number_of((i64)curves, terms.curve_unit);
    rows_per_curvature = n / most_curvature;
  }
  if (!(fabs(terms.gradient_scale) <= GREATEST && fabs(terms.curvature_scale) <= GREATEST))
    return false;
  const double n_least = (double)k.min_child_samples;
  const bool is_counted = WIDE && k.count_bits > 0;
  const double by_weight = k.min_child_weight * terms.curvature_scale;
  terms.min_curvature = by_weight > 1.0 ? by_weight : 1.0;
  if (k.loss == LOGISTIC || k.loss == SOFTMAX) {
    const double least = ceil(n_least / rows_per_curvature - n_least / 2.0);
    terms.min_curvature = least > terms.min_curvature ? least : terms.min_curvature;
  } else if (!is_counted) {
    const double least = ceil(n_least / rows_per_curvature);
    terms.min_curvature = least > terms.min_curvature ? least : terms.min_curvature;
  }
  terms.min_count = is_counted ? n_least : 0.0;
  terms.alpha = k.alpha * terms.gradient_scale;
  terms.lambda = k.lambda * terms.curvature_scale;
  return true;
}

// Words of the tree's rows; their sum.
DEVICE Bits pack_all(const Task& k, const Own& own, Meeting& meeting, const Terms& terms) {
  u64 sum = 0, nothing = 0;
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    if (!own.drawn[i]) continue;
    const i32 gradient = (i32)__double_as_longlong(own.slopes[i] * terms.gradient_scale + ROUND);
    const i32 curvature =
        k.is_flat ? 1
                  : (i32)__double_as_longlong(own.curves[i] * terms.curvature_scale + ROUND);
    const Bits word = pack(gradient, curvature, k);
    own.words[i] = word;
    sum += word;
  }
  total(meeting, sum, nothing);
  return (Bits)sum;
}

// Everything before the first split. False: no tree can grow.
DEVICE bool prepare(const Task& k, const Own& own, Meeting& meeting, Tree& tree, i64 c,
                    Terms& terms) {
  u64 slopes, curves;
  slope_all(k, own, meeting, c, terms, slopes, curves);
  if (!settle(k, slopes, curves, terms)) return false;
  const Bits all = pack_all(k, own, meeting, terms);
  for (int node = threadIdx.x; node < N_NODES; node += THREADS) {
    tree.column[node] = -1;
    tree.is_open[node] = 0;
    tree.total[node] = 0;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    tree.total[0] = all;
    tree.is_open[0] = rows_of(all, k) >= 2 * k.min_child_samples;
    tree.slot[0][0] = 0;
    tree.is_built[0][0] = 1;
    tree.n_splits = 0;
    tree.n_open = tree.is_open[0];
  }
  __syncthreads();
  return true;
}

// The histograms of a level: a word's sum for each bin, not yet running.
DEVICE void fill(const Task& k, const Own& own, Tree& tree, int depth) {
  const int side = depth & 1, n_level = 1 << depth, first = n_level - 1;
  const i64 n_bins = k.n_bins;
  for (int j = 0; j < n_level; ++j) {
    if (!tree.is_built[side][j]) continue;
    Bits* bins = own.bins + tree.slot[side][j] * n_bins;
    for (i64 b = threadIdx.x; b < n_bins; b += THREADS) bins[b] = 0;
  }
  for (int j = threadIdx.x; j < n_level; j += THREADS) tree.best[j] = 0;
  __syncthreads();
  // A warp a row, a lane a column: every lane's column stays the same.
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  for (i64 f0 = 0; f0 < k.n_columns; f0 += 32) {
    const i64 f = f0 + lane;
    const bool is_mine = f < k.n_columns && own.chosen[f];
    const i64 offset = is_mine ? own.columns[f].first_bin : 0;
    for (i64 i = warp; i < k.n_rows; i += N_WARPS) {
      const int j = (int)own.nodes[i] - first;
      if (!own.drawn[i] || j < 0 || !tree.is_built[side][j] || !is_mine) continue;
      const Bits word = own.words[i];
      const i64 bin = offset + own.codes[i * k.n_columns + f];
      add_word(&own.bins[tree.slot[side][j] * n_bins + bin], word);
    }
  }
  __syncthreads();
  for (int j = 0; j < n_level; ++j) {
    // The larger child's, in its parent's place.
    if (depth == 0 || tree.is_built[side][j] || !tree.is_open[first + j]) continue;
    Bits* bins = own.bins + tree.slot[side][j] * n_bins;
    const Bits* less = own.bins + tree.slot[side][j ^ 1] * n_bins;
    for (i64 b = threadIdx.x; b < n_bins; b += THREADS) bins[b] -= less[b];
  }
  __syncthreads();
}

// A node's sums as the loop over bins needs them: boost/split.rs's Scan.
struct Scan {
  float lambda, both, centre, min_curvature, max_curvature, min_count, max_count, alpha, gradient;
};

DEVICE Scan scan_of(const Task& k, const Terms& terms, Bits all) {
  const double g = gradient_of(all, k), h = curvature_of(all, k), count = count_of(all, k);
  const double both = h + 2.0 * terms.lambda;
  Scan scan;
  scan.lambda = (float)terms.lambda;
  scan.both = (float)both;
  scan.centre = (float)(g / both);
  scan.min_curvature = (float)terms.min_curvature;
  scan.max_curvature = (float)(h - terms.min_curvature);
  scan.min_count = (float)terms.min_count;
  scan.max_count = (float)(count - terms.min_count);
  scan.alpha = (float)terms.alpha;
  scan.gradient = (float)g;
  return scan;
}

DEVICE float pulled(float g, float alpha) {
  const float low = g - alpha, high = g + alpha;
  return (low > 0.0f ? low : 0.0f) + (high < 0.0f ? high : 0.0f);
}

// What a split is worth, greater for the earlier of equal ones; 0: nothing.
DEVICE u64 worth(const Task& k, const Scan& scan, bool has_alpha, bool is_counted, Bits left,
                 u32 place) {
  const float g = (float)gradient_of(left, k), h = (float)curvature_of(left, k);
  if (!(h >= scan.min_curvature && h <= scan.max_curvature)) return 0;
  if (is_counted) {
    const float count = (float)count_of(left, k);
    if (!(count >= scan.min_count && count <= scan.max_count)) return 0;
  }
  const float a = h + scan.lambda, b = scan.both - a;
  float value;
  if (has_alpha) {
    const float one = pulled(g, scan.alpha), two = pulled(scan.gradient - g, scan.alpha);
    value = one * one / a + two * two / b;
    if (!(value >= 0.0f)) return 0;
  } else {
    const float apart = g - scan.centre * a;
    value = apart * apart / (a * b);
    if (!(value > 0.0f)) return 0;
  }
  return (u64)__float_as_uint(value) << 32 | (u64)(0xffffffffu - place);
}

// Where a bin stands in the order of the search: bin by bin, then once more with the missing rows on
// the left; column by column where only some are chosen.
DEVICE u32 place_of(const Task& k, const Column& column, bool is_all, i64 b, int moved) {
  if (is_all) return (u32)(moved * k.n_bins + column.first_bin + b);
  return (u32)(2 * column.first_bin + moved * column.n_bins + b);
}

// The best split of every open node of a level; a warp a node and column.
DEVICE void search(const Task& k, const Own& own, Tree& tree, const Terms& terms, int depth) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int side = depth & 1, n_level = 1 << depth, first = n_level - 1;
  const bool has_alpha = terms.alpha > 0.0, is_counted = terms.min_count > 0.0;
  const bool is_all = k.has_all_columns;
  for (i64 pair = warp; pair < n_level * k.n_columns; pair += N_WARPS) {
    const int j = (int)(pair / k.n_columns);
    const i64 f = pair - j * k.n_columns;
    if (!tree.is_open[first + j] || !own.chosen[f]) continue;
    const Scan scan = scan_of(k, terms, tree.total[first + j]);
    const Column column = own.columns[f];
    const Bits* bins = own.bins + tree.slot[side][j] * k.n_bins + column.first_bin;
    const bool is_twice = column.missing >= 0 && column.n_bins > 2;
    const Bits missing = is_twice ? bins[column.n_bins - 1] : 0;
    Bits before = 0;
    u64 best = 0;
    for (i64 b0 = 0; b0 < column.n_bins; b0 += 32) {
      const i64 b = b0 + lane;
      Bits sum = b < column.n_bins ? bins[b] : 0;
      for (int by = 1; by < 32; by <<= 1) {
        const Bits other = __shfl_up_sync(ALL, sum, by);
        if (lane >= by) sum += other;
      }
      sum += before;
      before = __shfl_sync(ALL, sum, 31);
      if (b < column.n_bins) {
        const u32 place = place_of(k, column, is_all, b, 0);
        best = max(best, worth(k, scan, has_alpha, is_counted, sum, place));
      }
      if (missing != 0 && b < column.n_bins - 2) {
        const u32 place = place_of(k, column, is_all, b, 1);
        best = max(best, worth(k, scan, has_alpha, is_counted, (Bits)(sum + missing), place));
      }
    }
    for (int by = 16; by > 0; by >>= 1) best = max(best, __shfl_xor_sync(ALL, best, by));
    if (lane == 0 && best != 0) atomicMax(&tree.best[j], best);
  }
  __syncthreads();
}

DEVICE bool allows(const Task& k, const Terms& terms, Bits left, Bits all) {
  const double h = curvature_of(left, k), all_h = curvature_of(all, k);
  const double count = count_of(left, k), all_count = count_of(all, k);
  return h >= terms.min_curvature && all_h - h >= terms.min_curvature &&
         (terms.min_count == 0.0 ||
          (count >= terms.min_count && all_count - count >= terms.min_count));
}

DEVICE double soft(double g, double alpha) {
  const double low = g - alpha, high = g + alpha;
  return (low > 0.0 ? low : 0.0) + (high < 0.0 ? high : 0.0);
}

// What a split gains, in the units of the loss.
DEVICE double gain_of(const Task& k, const Terms& terms, Bits left, Bits all) {
  const double g = gradient_of(left, k), h = curvature_of(left, k);
  const double all_g = gradient_of(all, k), all_h = curvature_of(all, k);
  const double lambda = terms.lambda;
  double gain;
  if (terms.alpha > 0.0) {
    const double one = soft(g, terms.alpha), two = soft(all_g - g, terms.alpha);
    const double both = soft(all_g, terms.alpha);
    gain = one * one / (h + lambda) + two * two / (all_h - h + lambda) -
           both * both / (all_h + lambda);
  } else {
    const i64 whole = (i64)gradient_of(left, k) * (i64)curvature_of(all, k) -
                      (i64)gradient_of(all, k) * (i64)curvature_of(left, k);
    const double apart = (double)whole + lambda * (2.0 * g - all_g);
    const double both = all_h + 2.0 * lambda;
    const double parted = apart / both * (apart / ((h + lambda) * (all_h - h + lambda)));
    const double constant =
        lambda == 0.0 ? 0.0 : all_g * all_g * (1.0 / both - 1.0 / (all_h + lambda));
    gain = parted + constant;
  }
  const double unit = terms.gradient_scale;
  return gain * (terms.curvature_scale / unit / unit);
}

// Turns the best of every open node into a split, if it is worth one; a warp a node.
DEVICE void choose(const Task& k, const Own& own, Tree& tree, const Terms& terms, int depth) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int side = depth & 1, n_level = 1 << depth, first = n_level - 1;
  const bool is_all = k.has_all_columns;
  const bool goes_on = depth + 1 < k.max_depth;
  for (int j = warp; j < n_level; j += N_WARPS) {
    const int node = first + j;
    if (goes_on && lane < 2) tree.is_built[side ^ 1][2 * j + lane] = 0;
    __syncwarp();
    const u64 best = tree.best[j];
    if (!tree.is_open[node] || best == 0) continue;
    const i64 place = (i64)(0xffffffffu - (u32)best);
    const i64 near = is_all ? place % k.n_bins : place >> 1;
    i64 f = 0;
    for (i64 high = k.n_columns; high - f > 1;) {
      const i64 middle = (f + high) / 2;
      if (own.columns[middle].first_bin <= near) f = middle;
      else high = middle;
    }
    const Column column = own.columns[f];
    const i64 within = is_all ? place : place - 2 * column.first_bin;
    const bool is_moved = within >= (is_all ? k.n_bins : column.n_bins);
    const i64 last =
        is_all ? near - column.first_bin : within - (is_moved ? column.n_bins : 0);
    const Bits* bins = own.bins + tree.slot[side][j] * k.n_bins + column.first_bin;
    Bits left = 0;
    for (i64 b = lane; b <= last; b += 32) left += bins[b];
    for (int by = 16; by > 0; by >>= 1) left += __shfl_xor_sync(ALL, left, by);
    const Bits missing = column.missing >= 0 ? bins[column.n_bins - 1] : 0;
    if (is_moved) left += missing;
    const Bits all = tree.total[node];
    bool missing_left = is_moved;
    if (column.missing >= 0 && !is_moved)
      missing_left = missing == 0 && (i64)curvature_of(left, k) * 2 >= curvature_of(all, k);
    if (!allows(k, terms, left, all)) left = 0;
    const double gain = gain_of(k, terms, left, all);
    const bool is_finite = gain <= GREATEST;
    if (!(is_finite && gain > 0.0 && left != 0 && gain > k.min_split_gain)) continue;
    if (lane != 0) continue;
    tree.column[node] = (short)f;
    tree.last[node] = (u8)last;
    tree.missing_left[node] = missing_left;
    tree.gain[node] = gain;
    const Bits right = all - left;
    tree.total[2 * node + 1] = left;
    tree.total[2 * node + 2] = right;
    atomicAdd(&tree.n_splits, 1);
    if (!goes_on) continue;
    const i64 n_left = rows_of(left, k), n_right = rows_of(right, k);
    const bool opens_left = n_left >= 2 * k.min_child_samples;
    const bool opens_right = n_right >= 2 * k.min_child_samples;
    tree.is_open[2 * node + 1] = opens_left;
    tree.is_open[2 * node + 2] = opens_right;
    const int small = n_left * 2 <= n_left + n_right ? 0 : 1;
    tree.slot[side ^ 1][2 * j + small] = (short)(n_level + j);
    tree.slot[side ^ 1][2 * j + (small ^ 1)] = tree.slot[side][j];
    if (opens_left || opens_right) {
      tree.is_built[side ^ 1][2 * j + small] = 1;
      atomicAdd(&tree.n_open, 1);
    }
  }
  __syncthreads();
}

// Sends rows to the children of their nodes. Who reads other rows' nodes, or changes splits, must
// wait first.
DEVICE void part(const Task& k, const Own& own, const Tree& tree, int depth) {
  const int first = (1 << depth) - 1;
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    const int node = own.nodes[i];
    if (node < first || own.roles[i] == 0 || tree.column[node] < 0) continue;
    const int f = tree.column[node];
    const int code = own.codes[i * k.n_columns + f];
    const bool is_left = code <= tree.last[node] ||
                         (tree.missing_left[node] && code == own.columns[f].missing);
    own.nodes[i] = (unsigned short)(2 * node + (is_left ? 1 : 2));
  }
}

// Keeps the splits that growing best-first would make: boost/grow.rs's order. One thread.
DEVICE void prune(const Task& k, Tree& tree) {
  for (int node = 0; node < N_NODES; ++node) tree.is_kept[node] = 0;
  int n_waiting = 1, n_numbers = 1;
  tree.waiting[0] = 0;
  tree.number[0] = 0;
  for (i64 n_leaves = 1; n_leaves < k.max_leaves && n_waiting > 0; ++n_leaves) {
    int best = 0;
    for (int w = 1; w < n_waiting; ++w) {
      const int one = tree.waiting[w], other = tree.waiting[best];
      const bool is_better = tree.gain[one] > tree.gain[other] ||
                             (tree.gain[one] == tree.gain[other] &&
                              tree.number[one] < tree.number[other]);
      if (is_better) best = w;
    }
    const int node = tree.waiting[best];
    tree.waiting[best] = tree.waiting[--n_waiting];
    tree.is_kept[node] = 1;
    for (int child = 2 * node + 1; child <= 2 * node + 2; ++child) {
      tree.number[child] = (short)n_numbers++;
      if (tree.column[child] >= 0) tree.waiting[n_waiting++] = (short)child;
    }
  }
  for (int node = 0; node < N_NODES; ++node)
    if (!tree.is_kept[node]) tree.column[node] = -1;
}

// Gives leaves their values, and adds them to the scores of all rows.
DEVICE void say(const Task& k, const Own& own, Tree& tree, const Terms& terms, i64 c) {
  if (tree.n_splits + 1 > k.max_leaves) {
    __syncthreads();
    if (threadIdx.x == 0) prune(k, tree);
    __syncthreads();
    for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
      int leaf = own.nodes[i];
      for (int node = leaf; node > 0; node = (node - 1) / 2)
        if (tree.column[(node - 1) / 2] < 0) leaf = (node - 1) / 2;
      own.nodes[i] = (unsigned short)leaf;
    }
  }
  for (int node = threadIdx.x; node < N_NODES; node += THREADS) {
    tree.slope[node] = 0;
    tree.curve[node] = 0;
  }
  __syncthreads();
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    if (!own.drawn[i]) continue;
    add_wide(&tree.slope[own.nodes[i]], (u64)whole_of(own.slopes[i], terms.slope_unit));
    if (!k.is_flat)
      add_wide(&tree.curve[own.nodes[i]], (u64)whole_of(own.curves[i], terms.curve_unit));
  }
  __syncthreads();
  for (int node = threadIdx.x; node < N_NODES; node += THREADS) {
    const double slope = soft(number_of((i64)tree.slope[node], terms.slope_unit), k.alpha);
    const double curve = k.is_flat ? (double)rows_of(tree.total[node], k)
                                   : number_of((i64)tree.curve[node], terms.curve_unit);
    const double value = -slope / (curve + k.lambda) * k.learning_rate;
    tree.value[node] = fabs(value) <= GREATEST ? value : 0.0;
  }
  __syncthreads();
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS)
    if (own.roles[i] != 0) own.scores[c * k.n_rows + i] += tree.value[own.nodes[i]];
  __syncthreads();
}

// Grows one tree and adds it to the scores; whether it has a split.
DEVICE bool grow(const Task& k, const Own& own, Meeting& meeting, Tree& tree, i64 c) {
  Terms terms;
  if (!prepare(k, own, meeting, tree, c, terms)) return false;
  for (int depth = 0; depth < k.max_depth; ++depth) {
    if (tree.n_open == 0) break;
    __syncthreads();
    if (threadIdx.x == 0) tree.n_open = 0;
    fill(k, own, tree, depth);
    search(k, own, tree, terms, depth);
    choose(k, own, tree, terms, depth);
    part(k, own, tree, depth);
  }
  if (tree.n_splits == 0) {
    __syncthreads();
    return false;
  }
  say(k, own, tree, terms, c);
  return true;
}

DEVICE void tell(const BoostArguments& a, const Task& k, const Own& own, i64 mark) {
  double* out = a.out + k.out + mark * k.n_watched * k.n_scores;
  for (i64 e = threadIdx.x; e < k.n_watched * k.n_scores; e += THREADS) {
    const i64 w = e / k.n_scores, c = e - w * k.n_scores;
    out[e] = own.scores[c * k.n_rows + a.watched[k.watched + w]];
  }
}

// Cuts a piece of memory off what is left; all pieces begin at 8 bytes.
DEVICE u8* cut(u8*& rest, i64 n_bytes) {
  u8* own = rest;
  rest += (n_bytes + 7) / 8 * 8;
  return own;
}

DEVICE Own lay_out(const BoostArguments& a, const Task& k, u8* shared) {
  Own own;
  own.codes = a.codes + k.codes;
  own.columns = a.columns + k.columns;
  own.targets = a.targets + k.targets;
  own.weights = k.weights < 0 ? nullptr : a.weights + k.weights;
  own.roles = a.roles + k.roles;
  u8* rest = a.scratch + (i64)blockIdx.x * a.scratch_bytes;
  const i64 n = k.n_rows;
  own.scores = (double*)cut(rest, 8 * n * k.n_scores);
  own.shares = (double*)cut(rest, k.n_scores > 1 ? 8 * n * k.n_scores : 0);
  own.slopes = (double*)cut(rest, 8 * n);
  own.curves = (double*)cut(rest, 8 * n);
  own.drawn = cut(rest, n);
  own.chosen = cut(rest, k.n_columns);
  // What is used most is shared, as far as there is room.
  const i64 bins_bytes = (i64)sizeof(Bits) * k.n_bins << (k.max_depth - 1);
  u8* quick = shared;
  i64 n_left = a.shared_bytes;
  const bool has_bins = bins_bytes <= n_left;
  own.bins = (Bits*)cut(has_bins ? quick : rest, bins_bytes);
  n_left = a.shared_bytes - (i64)(quick - shared);
  const i64 rows_bytes = ((i64)sizeof(Bits) * n + 7) / 8 * 8 + (2 * n + 7) / 8 * 8;
  const bool has_rows = rows_bytes <= n_left;
  own.words = (Bits*)cut(has_rows ? quick : rest, (i64)sizeof(Bits) * n);
  own.nodes = (unsigned short*)cut(has_rows ? quick : rest, 2 * n);
  return own;
}

DEVICE void fit(const BoostArguments& a, const Task& k, const Own& own, Meeting& meeting,
                Tree& tree) {
  const i64 n = k.n_rows;
  const bool draws_rows = k.n_drawn_rows < k.n_learnt;
  const bool draws_columns = !k.has_all_columns;
  for (i64 i = threadIdx.x; i < n; i += THREADS) {
    own.drawn[i] = own.roles[i] & 1;
    for (i64 c = 0; c < k.n_scores; ++c) own.scores[c * n + i] = a.initial[k.initial + c];
  }
  for (i64 f = threadIdx.x; f < k.n_columns; f += THREADS) own.chosen[f] = 1;
  __syncthreads();
  i64 mark = 0;
  for (i64 round = 0; round < k.n_rounds && mark < k.n_marks; ++round) {
    if (draws_rows && threadIdx.x == 0)
      draw(own.drawn, own.roles, n, k.n_learnt, k.n_drawn_rows,
           mix_of((u64)k.seed, (u64)round, 0));
    if (k.loss == SOFTMAX) share_out(k, own);
    __syncthreads();
    bool has_grown = false;
    for (i64 c = 0; c < k.n_scores; ++c) {
      if (draws_columns && threadIdx.x == 0)
        draw(own.chosen, nullptr, k.n_columns, k.n_columns, k.n_drawn_columns,
             mix_of((u64)k.seed, (u64)(round * k.n_scores + c), 1));
      __syncthreads();
      has_grown |= grow(k, own, meeting, tree, c);
    }
    // The next round would see the same.
    if (!has_grown && !k.is_sampled) break;
    for (; mark < k.n_marks && a.marks[k.marks + mark] == round + 1; ++mark) tell(a, k, own, mark);
  }
  for (; mark < k.n_marks; ++mark) tell(a, k, own, mark);
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS) boost(const BoostArguments a) {
  SHARED(shared);
  __shared__ Tree tree;
  __shared__ Meeting meeting;
  __shared__ i64 next;
  for (;;) {
    if (threadIdx.x == 0) next = atomicAdd(a.next, 1);
    __syncthreads();
    const i64 index = next;
    __syncthreads();
    if (index >= a.n_tasks) return;
    const Task& k = a.tasks[index];
    fit(a, k, lay_out(a, k, shared), meeting, tree);
  }
}
KERNEL(boost, BoostArguments)
