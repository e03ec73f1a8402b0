// The theta method's search for alpha, for many series at once: the CPU's series/theta/line.rs,
// operation by operation, so that both find the same bits.
//
// Eight lanes a search, an alpha each; one block is one warp. Shared memory: 4 numbers a thread.
#include "kernel.h"

#define LANES 8
#define ROUNDS 5
#define BURN_IN 3
#define LOWEST 0.1
#define HIGHEST 0.99
#define FARTHEST_FIRST 1e6
#define LARGEST_SHARE 0.9

struct ThetaArguments {
  const double* values;    // series after series, the season taken out
  const i64* searches;     // 4 words: first value, how many, whether the line is drawn anew at each
                           // step, place in `lines`
  const double* lines;     // per search: intercept, slope; share, or below 0 to search it; favour
  double* ends;            // per search: alpha, share, first level, cost
  i64 n_searches;
};

struct Search {
  const double* values;
  i64 n;
  bool is_dynamic;
  double intercept, slope, share, favour;
};

struct Solved {
  double alpha, share, first, cost;
};

// Sums of products over the steps that count: of the weight of the first level, the pull of the
// line, and what the smoothing from 0 leaves of the value.
struct Products {
  double weight_weight, weight_pull, pull_pull, weight_rest, pull_rest, rest_rest;
};

DEVICE double size(double x) { return x < 0.0 ? -x : x; }
DEVICE double clamp(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}
DEVICE bool is_finite(double x) { return x - x == 0.0; }
DEVICE double infinity() { return __longlong_as_double(0x7ff0000000000000LL); }

DEVICE Products products_of(const Search& search, double alpha) {
  Products sums = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
  const double kept = 1.0 - alpha, per_alpha = 1.0 / alpha, first = search.values[0];
  double level = alpha * first, weight = kept, mean = first;
  double intercept = search.is_dynamic ? first : search.intercept;
  double slope = search.is_dynamic ? 0.0 : search.slope;
  for (i64 t = 1; t < search.n; ++t) {
    const double value = search.values[t], counts = t < BURN_IN ? 0.0 : 1.0;
    const double pull = intercept * weight + slope * (1.0 - weight * kept) * per_alpha;
    const double rest = value - level, counted = counts * weight;
    sums.weight_weight += counted * weight;
    sums.weight_pull += counted * pull;
    sums.weight_rest += counted * rest;
    sums.pull_pull += counts * pull * pull;
    sums.pull_rest += counts * pull * rest;
    sums.rest_rest += counts * rest * rest;
    level += alpha * rest;
    weight *= kept;
    if (!search.is_dynamic) continue;
    const double n_before = (double)t, before = mean;
    mean = (n_before * before + value) / (n_before + 1.0);
    slope = ((n_before - 1.0) * slope + 6.0 * (value - before) / (n_before + 1.0)) /
            (n_before + 2.0);
    intercept = mean - slope * (n_before + 2.0) / 2.0;
  }
  return sums;
}

// The share that was given, or the best one; the classic one where the line has no say.
DEVICE double share_of(const Search& search, double rest, double pull, double whole_pull) {
  if (search.share >= 0.0) return search.share;
  return pull > whole_pull * 1e-12 ? clamp(rest / pull, 0.0, LARGEST_SHARE) : 0.5;
}

// First level and share by least squares, the first level within its bounds.
DEVICE Solved solve(const Search& search, double alpha) {
  const Products sums = products_of(search, alpha);
  const double least = 2.2250738585072014e-308;
  const double weight_weight = sums.weight_weight > least ? sums.weight_weight : least;
  const double left_pull = sums.pull_pull - sums.weight_pull * sums.weight_pull / weight_weight;
  const double left_rest = sums.pull_rest - sums.weight_pull * sums.weight_rest / weight_weight;
  double share = share_of(search, left_rest, left_pull, sums.pull_pull);
  double first = (sums.weight_rest - share * sums.weight_pull) / weight_weight;
  if (size(first) > FARTHEST_FIRST) {
    first = clamp(first, -FARTHEST_FIRST, FARTHEST_FIRST);
    const double rest = sums.pull_rest - first * sums.weight_pull;
    share = share_of(search, rest, sums.pull_pull, sums.pull_pull);
  }
  const double squares =
      sums.rest_rest +
      first * (first * weight_weight + 2.0 * (share * sums.weight_pull - sums.weight_rest)) +
      share * (share * sums.pull_pull - 2.0 * sums.pull_rest);
  const double kept = squares > 0.0 ? squares : 0.0;
  const double cost = is_finite(squares) && is_finite(first) ? kept : infinity();
  return Solved{alpha, share, first, cost * (1.0 + search.favour * (1.0 - alpha))};
}

// Tries evenly spaced alphas, one a lane; every lane learns the best so far, the first of equals.
DEVICE void look(const Search& search, double low, double high, Solved* seen, Solved* best) {
  const i64 lane = threadIdx.x % LANES;
  seen[lane] = solve(search, low + (high - low) * (double)lane / (double)(LANES - 1));
  __syncwarp();
  for (int other = 0; other < LANES; ++other)
    if (seen[other].cost < best->cost) *best = seen[other];
  __syncwarp();
}

extern "C" __global__ void __launch_bounds__(32) theta(const ThetaArguments a) {
  SHARED(memory);
  const i64 index = (i64)blockIdx.x * (32 / LANES) + threadIdx.x / LANES;
  const bool is_there = index < a.n_searches;
  const i64* const own = a.searches + 4 * (is_there ? index : a.n_searches - 1);
  const double* const line = a.lines + own[3];
  const Search search = {a.values + own[0], own[1],  own[2] != 0, line[0],
                         line[1],           line[2], line[3] / (double)(own[1] > 1 ? own[1] : 1)};
  Solved* const seen = (Solved*)memory + threadIdx.x / LANES * LANES;
  Solved best = {0.5, 0.5, 0.0, infinity()};
  const double middle = (LOWEST + HIGHEST) / 2.0;
  look(search, LOWEST, middle, seen, &best);
  look(search, middle, HIGHEST, seen, &best);
  double width = (HIGHEST - LOWEST) / (double)(2 * LANES - 1);
  for (int round = 0; round < ROUNDS; ++round) {
    const double low = best.alpha - width > LOWEST ? best.alpha - width : LOWEST;
    const double high = best.alpha + width < HIGHEST ? best.alpha + width : HIGHEST;
    look(search, low, high, seen, &best);
    width = (high - low) / (double)(LANES - 1);
  }
  if (!is_there || threadIdx.x % LANES != 0) return;
  double* const end = a.ends + 4 * index;
  end[0] = best.alpha;
  end[1] = best.share;
  end[2] = best.first;
  end[3] = best.cost;
}

KERNEL(theta, ThetaArguments)
