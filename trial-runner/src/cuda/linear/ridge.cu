// The summed squared errors of ridge regression on the validating rows of a fold, for many alphas.
//
// The CPU's trainer/linear/tridiagonal.rs brings the system to tridiagonal form once; here the sums
// over the validating rows are turned by the same reflections, so that an alpha costs one walk and
// one quadratic form and never leaves that basis. A thread owns a column while it is turned, then
// an alpha. NaN is told where digits would be lost: the CPU has to do those.
//
// One block a fold, of at least as many threads as features, of which the first lanes take alphas.
// Shared memory: n × n numbers, as many again or 2 · n · lanes if that is more, and 7 · n.
#include "kernel.h"

// The least eigenvalue, as a share of the largest entry, that keeps nine digits of an error.
#define LEAST 5e-6
// An error that is a smaller share of what it was left from has lost too many digits.
#define LEAST_LEFT 1e-6

struct RidgeArguments {
  const i64* tasks;       // 5 words: where its system begins, how many features there may be, the
                          // first alpha, how many, where their losses go
  const double* systems;  // as split.cu leaves them
  const double* alphas;
  double* losses;
  i64 n_lanes;
};

enum { N_FEATURES, IS_SOUND, TOTAL, SQUARES, SQUARES_AHEAD, SIZE_AHEAD, HEAD = 8 };

struct Room {
  double *ahead, *work, *vector, *pulls, *pulls_ahead, *diagonal, *beside, *moments, *moments_ahead;
};

DEVICE double dot(const double* a, const double* b, i64 first, i64 n) {
  double sum = 0.0;
  for (i64 i = first; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// Reflects column and row k of the system to what is beside the diagonal, and turns all else.
DEVICE void reflect(const Room& room, i64 n, i64 k) {
  const i64 t = threadIdx.x;
  if (t < n) room.vector[t] = t > k ? room.work[k * n + t] : 0.0;
  __syncthreads();
  const double head = room.vector[k + 1], rest = dot(room.vector, room.vector, k + 2, n);
  const double length = sqrt(head * head + rest);
  const double edge = rest == 0.0 ? head : head > 0.0 ? -length : length;
  const double first = head - edge;
  const double beta = rest == 0.0 ? 0.0 : 2.0 / (first * first + rest);
  __syncthreads();
  if (t == 0) {
    room.vector[k + 1] = first;
    room.beside[k] = edge;
  }
  __syncthreads();
  double pull = 0.0, pull_ahead = 0.0;
  if (t < n) {
    for (i64 i = k + 1; i < n; ++i) {
      pull += room.work[i * n + t] * room.vector[i];
      pull_ahead += room.ahead[i * n + t] * room.vector[i];
    }
    room.pulls[t] = beta * pull;
    room.pulls_ahead[t] = beta * pull_ahead;
  }
  __syncthreads();
  const double half = 0.5 * beta * dot(room.pulls, room.vector, k + 1, n);
  const double half_ahead = 0.5 * beta * dot(room.pulls_ahead, room.vector, k + 1, n);
  const double moment = beta * dot(room.moments, room.vector, k + 1, n);
  const double moment_ahead = beta * dot(room.moments_ahead, room.vector, k + 1, n);
  __syncthreads();
  if (t < n) {
    const double value = room.vector[t];
    room.pulls[t] -= half * value;
    room.pulls_ahead[t] -= half_ahead * value;
    room.moments[t] -= moment * value;
    room.moments_ahead[t] -= moment_ahead * value;
  }
  __syncthreads();
  if (t < n) {
    const double value = room.vector[t];
    const double own = room.pulls[t], own_ahead = room.pulls_ahead[t];
    if (t > k)
      for (i64 i = k + 1; i < n; ++i)
        room.work[i * n + t] -= room.vector[i] * own + room.pulls[i] * value;
    for (i64 i = 0; i < n; ++i)
      room.ahead[i * n + t] -= room.vector[i] * own_ahead + room.pulls_ahead[i] * value;
  }
  __syncthreads();
}

// Whether no eigenvalue is small: as many are below a bound as there are pivots below zero (Sturm).
DEVICE bool is_safe(const Room& room, i64 n, double alpha) {
  double pivot = 1.0;
  for (i64 i = 0; i < n; ++i) {
    const double edge = i == 0 ? 0.0 : room.beside[i - 1];
    pivot = room.diagonal[i] + (alpha - LEAST) - edge * edge / pivot;
    if (!(pivot > 0.0)) return false;
  }
  return true;
}

// Solves (T + alpha I) x = moments; a number of a thread stands `stride` from the next.
DEVICE void walk(const Room& room, i64 n, double alpha, double* x, double* ratios, i64 stride) {
  double before = 0.0, ratio = 0.0, edge = 0.0;
  for (i64 i = 0; i < n; ++i) {
    const double next = i + 1 < n ? room.beside[i] : 0.0;
    const double inverse = 1.0 / (room.diagonal[i] + alpha - ratio * edge);
    before = room.moments[i] - ratio * before;
    ratio = next * inverse;
    edge = next;
    x[i * stride] = before * inverse;
    ratios[i * stride] = ratio;
  }
  double later = 0.0;
  for (i64 i = n - 1; i >= 0; --i) {
    later = x[i * stride] - ratios[i * stride] * later;
    x[i * stride] = later;
  }
}

// The quadratic form over the lower triangle, four rows at a time.
DEVICE double form(const double* ahead, i64 n, const double* x, i64 stride) {
  double sum = 0.0;
  for (i64 first = 0; first < n; first += 4) {
    double rows[4] = {0.0, 0.0, 0.0, 0.0};
    const i64 n_rows = n - first < 4 ? n - first : 4;
    for (i64 j = 0; j < first; ++j) {
      const double value = x[j * stride];
      for (int i = 0; i < 4; ++i)
        if (i < n_rows) rows[i] += ahead[(first + i) * n + j] * value;
    }
    for (int i = 0; i < 4; ++i) {
      if (i >= n_rows) continue;
      const double* const row = ahead + (first + i) * n + first;
      for (int j = 0; j < i; ++j) rows[i] += row[j] * x[(first + j) * stride];
      const double value = x[(first + i) * stride];
      sum += value * (row[i] * value + 2.0 * rows[i]);
    }
  }
  return sum;
}

extern "C" __global__ void __launch_bounds__(128) ridge(const RidgeArguments a) {
  SHARED(memory);
  const i64* const own = a.tasks + 5 * (i64)blockIdx.x;
  const i64 n_possible = own[1], n_alphas = own[3], t = threadIdx.x, n_threads = blockDim.x;
  const double* const head = a.systems + own[0];
  const double* const alphas = a.alphas + own[2];
  const double nothing = __longlong_as_double(0x7ff8000000000000LL);
  const i64 n = (i64)head[N_FEATURES];
  double* const losses = a.losses + own[4];
  if (head[IS_SOUND] == 0.0) {
    for (i64 at = t; at < n_alphas; at += n_threads) losses[at] = nothing;
    return;
  }
  const double* const moments = head + HEAD;
  const double* const gram = moments + 2 * n_possible;
  Room room;
  room.vector = (double*)memory;
  room.pulls = room.vector + n;
  room.pulls_ahead = room.pulls + n;
  room.diagonal = room.pulls_ahead + n;
  room.beside = room.diagonal + n;
  room.moments = room.beside + n;
  room.moments_ahead = room.moments + n;
  room.ahead = room.moments_ahead + n;
  room.work = room.ahead + n * n;
  double largest = 0.0;
  for (i64 i = 0; i < n; ++i) largest = gram[i * n + i] > largest ? gram[i * n + i] : largest;
  if (!(largest > 0.0)) largest = 1.0;
  for (i64 at = t; at < n * n; at += n_threads) {
    room.work[at] = gram[at] / largest;
    room.ahead[at] = gram[n_possible * n_possible + at];
  }
  if (t < n) {
    room.moments[t] = moments[t] / largest;
    room.moments_ahead[t] = moments[n_possible + t];
  }
  __syncthreads();
  for (i64 k = 0; k + 2 < n; ++k) reflect(room, n, k);
  if (t < n) room.diagonal[t] = room.work[t * n + t];
  if (t == 0 && n > 1) room.beside[n - 2] = room.work[(n - 1) * n + n - 2];
  __syncthreads();

  const bool is_sound = is_safe(room, n, 0.0);
  double* const x = room.work + t;
  double* const ratios = x + n * a.n_lanes;
  for (i64 at = t; t < a.n_lanes && at < n_alphas; at += a.n_lanes) {
    const double alpha = alphas[at] / largest;
    double loss = nothing;
    if (is_sound || alpha > 1.0 || is_safe(room, n, alpha)) {
      walk(room, n, alpha, x, ratios, a.n_lanes);
      double with_y = 0.0;
      for (i64 i = 0; i < n; ++i) with_y += room.moments_ahead[i] * x[i * a.n_lanes];
      const double squares = form(room.ahead, n, x, a.n_lanes);
      const double left = head[SQUARES_AHEAD] - 2.0 * with_y + squares;
      const double size = head[SIZE_AHEAD] + 2.0 * (with_y < 0.0 ? -with_y : with_y) + squares;
      if (left > LEAST_LEFT * size) loss = left;
    }
    losses[at] = loss;
  }
}

KERNEL(ridge, RidgeArguments)
