// Sums of products of all pairs of columns over the rows of one class: rows that train and validate
// in the same folds.
//
// One block a class, of any number of threads. A thread keeps 4 × 4 sums in registers while
// ROWS rows at a time pass by in shared memory (ROWS · width numbers). The order of additions is
// that of the rows, whatever the grid.
#include "kernel.h"

#define ROWS 32
#define TILE 4

struct GramArguments {
  const double* rows;  // row after row, the rows of a class next to each other
  const i64* classes;  // per block: where its rows begin, how many, their width, where its sums go
  double* sums;        // width × width for each class, both triangles
};

extern "C" __global__ void __launch_bounds__(128) gram(const GramArguments a) {
  SHARED(room);
  double* const near = (double*)room;
  const i64* const own = a.classes + 4 * (i64)blockIdx.x;
  const i64 n_rows = own[1], width = own[2];
  const double* const rows = a.rows + own[0];
  double* const sums = a.sums + own[3];
  const i64 side = width / TILE, n_tiles = side * (side + 1) / 2;
  for (i64 first = 0; first < n_tiles; first += blockDim.x) {
    const i64 tile = first + threadIdx.x;
    const bool has_tile = tile < n_tiles;
    i64 down = 0, across = has_tile ? tile : 0;
    while (across > down) across -= ++down;
    double sum[TILE][TILE];
    for (int i = 0; i < TILE; ++i)
      for (int j = 0; j < TILE; ++j) sum[i][j] = 0.0;
    for (i64 begin = 0; begin < n_rows; begin += ROWS) {
      const i64 n_near = n_rows - begin < ROWS ? n_rows - begin : ROWS;
      __syncthreads();
      for (i64 at = threadIdx.x; at < n_near * width; at += blockDim.x)
        near[at] = rows[begin * width + at];
      __syncthreads();
      if (!has_tile) continue;
      for (i64 row = 0; row < n_near; ++row) {
        const double* const left = near + row * width + TILE * down;
        const double* const right = near + row * width + TILE * across;
        for (int i = 0; i < TILE; ++i)
          for (int j = 0; j < TILE; ++j) sum[i][j] += left[i] * right[j];
      }
    }
    if (!has_tile) continue;
    for (int i = 0; i < TILE; ++i)
      for (int j = 0; j < TILE; ++j) {
        const i64 row = TILE * down + i, column = TILE * across + j;
        sums[row * width + column] = sum[i][j];
        sums[column * width + row] = sum[i][j];
      }
  }
}

KERNEL(gram, GramArguments)
