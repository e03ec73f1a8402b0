// Adds up what the trees of forests say of their watched rows, tree after tree, and tells it at
// every mark. A block a fit; a thread a number.
#include "kernel.h"

// In place of a leaf, for a row that the tree has seen: as forest/kinds.cu writes it.
#define SEEN 0x7ff80000000f17e5LL

struct Fit {
  i64 leaves, n_watched, width, marks, n_marks, out;
};

struct TallyArguments {
  const Fit* fits;
  const double* leaves;  // by tree, by watched row, by number
  const i64* marks;      // after how many trees sums are told, ascending
  double* out;           // by mark: sums, by watched row and number; then of each row its trees
};

extern "C" __global__ void __launch_bounds__(128) tally(const TallyArguments a) {
  const Fit& fit = a.fits[blockIdx.x];
  const i64 n = fit.n_watched * fit.width;
  for (i64 e = threadIdx.x; e < n; e += blockDim.x) {
    const i64 row = e / fit.width;
    double sum = 0.0;
    i64 n_trees = 0, n_told = 0;
    for (i64 mark = 0; mark < fit.n_marks; ++mark) {
      for (; n_trees < a.marks[fit.marks + mark]; ++n_trees) {
        const double leaf = a.leaves[fit.leaves + n_trees * n + e];
        if (__double_as_longlong(leaf) == SEEN) continue;
        sum += leaf;
        n_told += 1;
      }
      double* out = a.out + fit.out + mark * (n + fit.n_watched);
      out[e] = sum;
      if (e == row * fit.width) out[n + row] = (double)n_told;
    }
  }
}
KERNEL(tally, TallyArguments)
