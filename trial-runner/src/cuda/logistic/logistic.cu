// Logistic regressions, many in one launch: Newton's method of the CPU's trainer/logistic, which ends
// at the same minimum.
//
// A block takes fit after fit from a queue. Sums over rows are in parts, a thread each, added up in
// one order, so that no schedule changes anything. NaN is told, and the CPU has to do it, where
// digits would be lost (an equation that is nearly another) and where the minimum is not reached.
//
// -DTHREADS: of a block, a power of two. Dynamic shared memory holds what fits (`lay_out`),
// `scratch`, `scratch_bytes` a block, the rest. Only `out`, `next` and `scratch` are written.
#include "kernel.h"

#define ROWS 32
#define TILE 4
#define TOLERANCE 1e-6
#define MAX_HALVINGS 40
#define ARMIJO 1e-4
#define ROUNDING 1e-14
// An equation of which a smaller share is left has lost too many digits.
#define LEAST_LEFT 1e-8
// Not inlined: the registers of one are free for the next.
#define CALLED static __device__ __noinline__

// A fit. What has no unit is an offset into one of the arrays of `LogisticArguments`.
struct Task {
  i64 n_rows;
  i64 n_weights;  // of an output, with the intercept, which is the last
  i64 width;      // of a row: the features, a one, and zeros up to a multiple of TILE
  i64 n_outputs;  // one for two classes, else one a class
  i64 rows, codes;
  i64 weights;  // of rows; -1: all weigh 1
  i64 start, max_iter;
  double alpha, total;  // the penalty, and the rows' weights
  i64 out;
};

struct LogisticArguments {
  const Task* tasks;
  i64 n_tasks;
  i32* next;
  const double* reals;  // rows, their weights, and where to begin
  const i32* codes;
  double* out;  // of each fit its weights, output after output
  u8* scratch;
  i64 scratch_bytes, shared_bytes;
};

// The loss at a point.
struct Place {
  double* point;
  double* slope;
  double* shares;  // of each output, row after row
  double* residuals;
  double loss;
};

// The memory of the fit that a block works on.
struct Own {
  double* parts;  // one a thread
  double* near;   // rows, and what each counts for
  double* step;
  double* hessian;
  Place here, there;
};

// Cuts numbers off shared memory, as long as there are some, else off the device's.
DEVICE double* cut_from(u8*& quick, i64& n_left, u8*& rest, i64 n) {
  const bool fits = 8 * n <= n_left;
  if (fits) n_left -= 8 * n;
  return (double*)cut(fits ? quick : rest, 8 * n);
}

// cuda/logistic.rs counts the same.
DEVICE Own lay_out(const LogisticArguments& a, const Task& k, u8* quick) {
  u8* rest = a.scratch + (i64)blockIdx.x * a.scratch_bytes;
  i64 n_left = a.shared_bytes;
  const i64 n = k.n_outputs * k.n_weights, n_shares = k.n_rows * k.n_outputs;
  Own own;
  own.parts = cut_from(quick, n_left, rest, THREADS);
  own.near = cut_from(quick, n_left, rest, ROWS * (k.width + 1));
  own.step = cut_from(quick, n_left, rest, n);
  own.here.point = cut_from(quick, n_left, rest, n);
  own.here.slope = cut_from(quick, n_left, rest, n);
  own.there.point = cut_from(quick, n_left, rest, n);
  own.there.slope = cut_from(quick, n_left, rest, n);
  own.hessian = cut_from(quick, n_left, rest, n * n);
  own.here.shares = cut_from(quick, n_left, rest, n_shares);
  own.there.shares = cut_from(quick, n_left, rest, n_shares);
  own.here.residuals = cut_from(quick, n_left, rest, n_shares);
  own.there.residuals = cut_from(quick, n_left, rest, n_shares);
  return own;
}

// The sum of a number of each thread, for all of them.
DEVICE double sum_of(const Own& own, double value) {
  own.parts[threadIdx.x] = value;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if ((int)threadIdx.x < half) own.parts[threadIdx.x] += own.parts[threadIdx.x + half];
    __syncthreads();
  }
  const double sum = own.parts[0];
  __syncthreads();
  return sum;
}

// Turns the scores of a row into shares and residuals; its loss.
DEVICE double explain(const Task& k, const Place& place, i64 row, double weight, i64 code) {
  const i64 n = k.n_rows;
  if (k.n_outputs == 1) {
    const double score = place.shares[row], truth = (double)code;
    const double tail = exp_of(-fabs(score));
    const double share = (score > 0.0 ? 1.0 : tail) / (1.0 + tail);
    place.shares[row] = share;
    place.residuals[row] = weight * (share - truth);
    return weight * (ln(1.0 + tail) + (score > 0.0 ? score : 0.0) - truth * score);
  }
  double top = -__longlong_as_double(0x7ff0000000000000LL), total = 0.0;
  for (i64 c = 0; c < k.n_outputs; ++c) {
    const double score = place.shares[c * n + row];
    top = score > top ? score : top;
  }
  for (i64 c = 0; c < k.n_outputs; ++c) {
    const double share = exp_of(place.shares[c * n + row] - top);
    place.shares[c * n + row] = share;
    total += share;
  }
  for (i64 c = 0; c < k.n_outputs; ++c) {
    const double share = place.shares[c * n + row] / total;
    place.shares[c * n + row] = share;
    place.residuals[c * n + row] = weight * (share - (c == code ? 1.0 : 0.0));
  }
  const double own = place.shares[code * n + row];
  return -weight * ln(own > 2.2250738585072014e-308 ? own : 2.2250738585072014e-308);
}

DEVICE double weight_of(const LogisticArguments& a, const Task& k, i64 row) {
  return k.weights < 0 ? 1.0 : a.reals[k.weights + row];
}

// Finds the loss and its slope at a place's point.
CALLED void evaluate(const LogisticArguments& a, const Task& k, const Own& own, Place& place) {
  const i64 n = k.n_rows, n_weights = k.n_weights, n_all = k.n_outputs * n_weights;
  const double* rows = a.reals + k.rows;
  double loss = 0.0;
  for (i64 row = threadIdx.x; row < n; row += THREADS) {
    const double* values = rows + row * k.width;
    for (i64 c = 0; c < k.n_outputs; ++c) {
      const double* point = place.point + c * n_weights;
      double score = point[n_weights - 1];
      for (i64 i = 0; i + 1 < n_weights; ++i) score += point[i] * values[i];
      place.shares[c * n + row] = score;
    }
    loss += explain(k, place, row, weight_of(a, k, row), a.codes[k.codes + row]);
  }
  loss = sum_of(own, loss) / k.total;
  double penalty = 0.0;
  // Rows are parted among the threads of a slope.
  const i64 n_parts = THREADS / n_all > 1 ? THREADS / n_all : 1;
  for (i64 first = 0; first < n_all; first += THREADS) {
    const i64 at = first + threadIdx.x % (n_parts > 1 ? n_all : THREADS);
    const i64 part = n_parts > 1 ? threadIdx.x / n_all : 0;
    double pull = 0.0;
    if (at < n_all && part < n_parts) {
      const i64 c = at / n_weights, i = at - c * n_weights;
      for (i64 row = part; row < n; row += n_parts)
        pull += place.residuals[c * n + row] * rows[row * k.width + i];
    }
    own.parts[threadIdx.x] = pull;
    __syncthreads();
    if (part == 0 && at < n_all) {
      for (i64 other = 1; other < n_parts; ++other) pull += own.parts[other * n_all + at];
      const double weight = at % n_weights + 1 < n_weights ? place.point[at] : 0.0;
      place.slope[at] = pull / k.total + k.alpha * weight;
      penalty += weight * weight;
    }
    __syncthreads();
  }
  place.loss = loss + 0.5 * k.alpha * sum_of(own, penalty);
}

// The second derivatives of a pair of outputs.
CALLED void curve(const LogisticArguments& a, const Task& k, const Own& own, i64 one, i64 other) {
  const i64 n = k.n_rows, width = k.width, n_all = k.n_outputs * k.n_weights;
  const double* rows = a.reals + k.rows;
  double* counts = own.near + ROWS * width;
  const i64 side = width / TILE, n_tiles = side * (side + 1) / 2;
  for (i64 first = 0; first < n_tiles; first += THREADS) {
    const i64 tile = first + threadIdx.x;
    const bool has_tile = tile < n_tiles;
    i64 down = 0, across = has_tile ? tile : 0;
    while (across > down) across -= ++down;
    double sum[TILE][TILE];
    for (int i = 0; i < TILE; ++i)
      for (int j = 0; j < TILE; ++j) sum[i][j] = 0.0;
    for (i64 begin = 0; begin < n; begin += ROWS) {
      const i64 n_near = n - begin < ROWS ? n - begin : ROWS;
      __syncthreads();
      for (i64 at = threadIdx.x; at < n_near * width; at += THREADS)
        own.near[at] = rows[begin * width + at];
      for (i64 at = threadIdx.x; at < n_near; at += THREADS) {
        const i64 row = begin + at;
        const double share = own.here.shares[one * n + row];
        const double rest = one == other ? 1.0 - share : own.here.shares[other * n + row];
        counts[at] = weight_of(a, k, row) * share * rest / k.total;
      }
      __syncthreads();
      if (!has_tile) continue;
      for (i64 row = 0; row < n_near; ++row) {
        const double* left = own.near + row * width + TILE * down;
        const double* right = own.near + row * width + TILE * across;
        for (int i = 0; i < TILE; ++i) {
          const double counted = left[i] * counts[row];
          for (int j = 0; j < TILE; ++j) sum[i][j] += counted * right[j];
        }
      }
    }
    if (!has_tile) continue;
    for (int i = 0; i < TILE; ++i)
      for (int j = 0; j < TILE; ++j) {
        const i64 row = TILE * down + i, column = TILE * across + j;
        if (row >= k.n_weights || column >= k.n_weights) continue;
        const double cell = one == other ? sum[i][j] : -sum[i][j];
        const i64 begin = one * k.n_weights * n_all + other * k.n_weights;
        own.hessian[begin + row * n_all + column] = cell;
        own.hessian[begin + column * n_all + row] = cell;
      }
  }
}

// All second derivatives; of softmax, the direction that the intercepts leave open is filled up.
DEVICE void curve_all(const LogisticArguments& a, const Task& k, const Own& own) {
  const i64 n_all = k.n_outputs * k.n_weights, last = k.n_weights - 1;
  for (i64 one = 0; one < k.n_outputs; ++one)
    for (i64 other = 0; other <= one; ++other) curve(a, k, own, one, other);
  __syncthreads();
  for (i64 at = threadIdx.x; at < n_all; at += THREADS)
    if (at % k.n_weights < last) own.hessian[at * n_all + at] += k.alpha;
  __syncthreads();
  if (k.n_outputs > 1 && threadIdx.x == 0) {
    double fill = 0.0;
    for (i64 c = 0; c < k.n_outputs; ++c) {
      const i64 at = c * k.n_weights + last;
      const double own_curve = own.hessian[at * n_all + at];
      fill = own_curve > fill ? own_curve : fill;
    }
    for (i64 one = 0; one < k.n_outputs; ++one)
      for (i64 other = 0; other <= one; ++other)
        own.hessian[(one * k.n_weights + last) * n_all + other * k.n_weights + last] += fill;
  }
  __syncthreads();
}

// Cholesky's factor in the place of the lower triangle; false where digits would be lost.
CALLED bool factorise(double* cells, i64 n) {
  double largest = 0.0;
  for (i64 i = 0; i < n; ++i) largest = cells[i * n + i] > largest ? cells[i * n + i] : largest;
  for (i64 k = 0; k < n; ++k) {
    __syncthreads();
    const double rest = cells[k * n + k];
    if (!(rest > LEAST_LEFT * largest)) return false;
    const double root = sqrt(rest);
    __syncthreads();
    for (i64 i = k + threadIdx.x; i < n; i += THREADS)
      cells[i * n + k] = i == k ? root : cells[i * n + k] / root;
    __syncthreads();
    const i64 n_left = n - k - 1;
    for (i64 e = threadIdx.x; e < n_left * n_left; e += THREADS) {
      const i64 i = k + 1 + e / n_left, j = k + 1 + e % n_left;
      if (j <= i) cells[i * n + j] -= cells[i * n + k] * cells[j * n + k];
    }
  }
  __syncthreads();
  return true;
}

// Solves with a factor, in place.
CALLED void substitute(const double* cells, double* solution, i64 n) {
  for (i64 k = 0; k < n; ++k) {
    __syncthreads();
    const double value = solution[k] / cells[k * n + k];
    __syncthreads();
    for (i64 i = k + threadIdx.x; i < n; i += THREADS)
      solution[i] = i == k ? value : solution[i] - cells[i * n + k] * value;
  }
  for (i64 k = n - 1; k >= 0; --k) {
    __syncthreads();
    const double value = solution[k] / cells[k * n + k];
    __syncthreads();
    for (i64 i = threadIdx.x; i <= k; i += THREADS)
      solution[i] = i == k ? value : solution[i] - cells[k * n + i] * value;
  }
  __syncthreads();
}

// Moves down the step from here, half as far as long as the loss does not fall; false where it never
// does.
DEVICE bool walk(const LogisticArguments& a, const Task& k, Own& own, i64 n) {
  double promise = 0.0;
  for (i64 at = threadIdx.x; at < n; at += THREADS) promise -= own.step[at] * own.here.slope[at];
  promise = sum_of(own, promise);
  double share = 1.0;
  for (int halving = 0; halving < MAX_HALVINGS; ++halving) {
    for (i64 at = threadIdx.x; at < n; at += THREADS)
      own.there.point[at] = own.here.point[at] + share * own.step[at];
    __syncthreads();
    evaluate(a, k, own, own.there);
    const double bound = own.here.loss + ARMIJO * share * (promise < 0.0 ? promise : 0.0);
    if (own.there.loss <= bound + ROUNDING * fabs(own.here.loss)) return true;
    share *= 0.5;
  }
  return false;
}

// Whether the minimum was found; it stands in `here`.
DEVICE bool minimise(const LogisticArguments& a, const Task& k, Own& own) {
  const i64 n = k.n_outputs * k.n_weights;
  for (i64 at = threadIdx.x; at < n; at += THREADS)
    own.here.point[at] = a.reals[k.start + at];
  __syncthreads();
  evaluate(a, k, own, own.here);
  for (i64 round = 0; round < k.max_iter; ++round) {
    double steepest = 0.0;
    for (i64 at = 0; at < n; ++at) {
      const double size = fabs(own.here.slope[at]);
      steepest = size > steepest ? size : steepest;
    }
    curve_all(a, k, own);
    for (i64 at = threadIdx.x; at < n; at += THREADS) own.step[at] = -own.here.slope[at];
    if (!factorise(own.hessian, n)) return false;
    substitute(own.hessian, own.step, n);
    if (!walk(a, k, own, n)) return false;
    const Place place = own.here;
    own.here = own.there;
    own.there = place;
    if (steepest <= TOLERANCE) return true;
  }
  return false;
}

extern "C" __global__ void __launch_bounds__(THREADS) logistic(const LogisticArguments a) {
  SHARED(shared);
  __shared__ i64 next;
  for (;;) {
    if (threadIdx.x == 0) next = atomicAdd(a.next, 1);
    __syncthreads();
    const i64 index = next;
    __syncthreads();
    if (index >= a.n_tasks) return;
    const Task& k = a.tasks[index];
    Own own = lay_out(a, k, shared);
    const bool is_found = minimise(a, k, own);
    __syncthreads();
    for (i64 at = threadIdx.x; at < k.n_outputs * k.n_weights; at += THREADS)
      a.out[k.out + at] =
          is_found ? own.here.point[at] : __longlong_as_double(0x7ff8000000000000LL);
    __syncthreads();
  }
}

KERNEL(logistic, LogisticArguments)
