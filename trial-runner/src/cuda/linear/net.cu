// The summed squared errors of lasso and elastic net on the validating rows of a fold, for many
// alphas of one share of the absolute penalty.
//
// The CPU's trainer/linear/net.rs, step by step: coordinate descent with covariance updates down a
// fixed ladder of alphas; once the signs settle, the equations that they leave are solved, and what
// meets the conditions of the minimum is the answer. Where the CPU would be content with less than
// the minimum, NaN is told: the CPU has to do those, so that both say the same.
//
// One block of one warp for each fold and share. Lane l owns the columns l, l + 32, … of COLUMNS
// (compiled in), which holds weights and pulls in registers. Shared memory: 2 · n · (n + 1) + 4 · n
// numbers.
#include "kernel.h"

#ifndef COLUMNS
#define COLUMNS 2
#endif
#define EVERYONE 0xffffffffu
// Each rung is the one above times this: eight a decade.
#define RUNG 0.7498942093324558
#define N_RUNGS 40
#define RUNG_TOLERANCE 1e-4
#define RUNG_ROUNDS 1000
// How far a condition of the minimum may be missed: of the penalty, and of the largest moment.
#define SLACK_OF_PENALTY 1e-9
#define SLACK_OF_MOMENTS 1e-13
// A column of which the others leave less than this share is a sum of them.
#define LEAST_LEFT 1e-9
// An error that is a smaller share of what it was left from has lost too many digits.
#define LEAST_ERROR 1e-6

struct NetArguments {
  const i64* tasks;         // 6 words: where its system begins, how many features there may be, the
                            // first penalty, the end, the share (bits), where their losses go
  const double* systems;    // as split.cu leaves them
  const double* penalties;  // alpha, tolerance, rounds; alphas fall within a share
  double* losses;
};

enum { N_FEATURES, IS_SOUND, TOTAL, SQUARES, SQUARES_AHEAD, SIZE_AHEAD, HEAD = 8 };

// What the warp shares.
struct Room {
  double *gram, *factor, *right, *moments;
  i64* active;  // columns that have a sign, in order, and after them whether each is held
  i64 n, stride;
};

struct Penalty {
  double l1, l2, tolerance;
  i64 rounds;
  double slack;  // how far a condition of the minimum may be missed
};

// What a lane owns.
struct Place {
  double weights[COLUMNS], pulls[COLUMNS];
};

DEVICE double sum_of(double value) {
  for (int by = 16; by > 0; by /= 2) value += __shfl_xor_sync(EVERYONE, value, by);
  return value;
}

DEVICE double largest_of(double value) {
  for (int by = 16; by > 0; by /= 2) {
    const double other = __shfl_xor_sync(EVERYONE, value, by);
    value = other > value ? other : value;
  }
  return value;
}

DEVICE double size(double value) { return value < 0.0 ? -value : value; }

DEVICE int sign(double value) { return (value > 0.0) - (value < 0.0); }

DEVICE double slack_of(double l1, double steepest) {
  return SLACK_OF_PENALTY * l1 + SLACK_OF_MOMENTS * steepest;
}

// Moves every weight once; whether no move was large against the largest weight.
DEVICE bool sweep(const Room& room, const Penalty& penalty, Place* place) {
  const i64 lane = threadIdx.x;
  double largest = 0.0, largest_step = 0.0, inverses[COLUMNS], norms[COLUMNS];
  for (int k = 0; k < COLUMNS; ++k) {
    const i64 column = lane + 32 * k;
    norms[k] = column < room.n ? room.gram[column * room.stride + column] : 0.0;
    inverses[k] = 1.0 / (norms[k] + penalty.l2);
  }
  for (int k = 0; k < COLUMNS; ++k) {
    for (i64 owner = 0; owner < 32 && owner + 32 * k < room.n; ++owner) {
      const double old = place->weights[k];
      const double pull = place->pulls[k] + old * norms[k];
      const double above = size(pull) - penalty.l1;
      double weight = above > penalty.slack ? above * inverses[k] : 0.0;
      weight = pull < 0.0 ? -weight : weight;
      weight = norms[k] == 0.0 ? old : weight;
      const double step = __shfl_sync(EVERYONE, weight - old, (int)owner);
      if (lane == owner) {
        place->weights[k] = weight;
        largest = size(weight) > largest ? size(weight) : largest;
      }
      largest_step = size(step) > largest_step ? size(step) : largest_step;
      const double* const row = room.gram + (owner + 32 * k) * room.stride;
      for (int other = 0; other < COLUMNS; ++other) {
        const i64 column = lane + 32 * other;
        if (column < room.n) place->pulls[other] -= step * row[column];
      }
    }
  }
  largest = largest_of(largest);
  return largest == 0.0 || largest_step / largest < penalty.tolerance;
}

// How far the objective can be from its least value.
DEVICE double gap(const Room& room, const Penalty& penalty, const Place& place, double y_squares) {
  double steepest = 0.0, with_y = 0.0, with_pulls = 0.0, l1_norm = 0.0, squares = 0.0;
  for (int k = 0; k < COLUMNS; ++k) {
    const i64 column = (i64)threadIdx.x + 32 * k;
    if (column >= room.n) continue;
    const double weight = place.weights[k];
    const double pull = size(place.pulls[k] - penalty.l2 * weight);
    steepest = pull > steepest ? pull : steepest;
    with_y += weight * room.moments[column];
    with_pulls += weight * place.pulls[k];
    l1_norm += size(weight);
    squares += weight * weight;
  }
  steepest = largest_of(steepest);
  with_y = y_squares - sum_of(with_y);
  double left = with_y - sum_of(with_pulls);
  left = left < 0.0 ? 0.0 : left;
  l1_norm = sum_of(l1_norm);
  squares = sum_of(squares);
  double scale = 1.0, found = left;
  if (steepest > penalty.l1) {
    scale = penalty.l1 / steepest;
    found = 0.5 * left * (1.0 + scale * scale);
  }
  found += penalty.l1 * l1_norm - scale * with_y;
  return found + 0.5 * penalty.l2 * (1.0 + scale * scale) * squares;
}

// Lists the columns that have a sign, and factorises what they leave of the Gram, column after
// column; a column that is a sum of others is held. Returns how many there are.
DEVICE i64 factorise(const Room& room, double l2, const int* signs) {
  const i64 lane = threadIdx.x;
  i64 n_active = 0;
  for (int k = 0; k < COLUMNS; ++k) {
    const unsigned votes = __ballot_sync(EVERYONE, signs[k] != 0);
    const i64 rank = n_active + __popc(votes & ((1u << lane) - 1u));
    if (signs[k] != 0) room.active[rank] = lane + 32 * k;
    n_active += __popc(votes);
  }
  __syncwarp();
  const i64 stride = room.stride;
  for (i64 row = 0; row < n_active; ++row)
    for (i64 column = lane; column <= row; column += 32)
      room.factor[row * stride + column] =
          room.gram[room.active[row] * stride + room.active[column]] + (row == column ? l2 : 0.0);
  __syncwarp();
  for (i64 pivot = 0; pivot < n_active; ++pivot) {
    const i64 own = room.active[pivot];
    const double norm = room.gram[own * stride + own] + l2;
    const double left = room.factor[pivot * stride + pivot];
    const bool is_held = !(left > LEAST_LEFT * norm);
    const double root = is_held ? 1.0 : sqrt(left);
    __syncwarp();
    if (lane == 0) {
      room.active[room.n + pivot] = is_held;
      room.factor[pivot * stride + pivot] = root;
    }
    for (i64 row = pivot + 1 + lane; row < n_active; row += 32)
      room.factor[row * stride + pivot] =
          is_held ? 0.0 : room.factor[row * stride + pivot] / root;
    __syncwarp();
    if (is_held) continue;
    for (i64 row = pivot + 1; row < n_active; ++row) {
      const double value = room.factor[row * stride + pivot];
      for (i64 column = pivot + 1 + lane; column <= row; column += 32)
        room.factor[row * stride + column] -= value * room.factor[column * stride + pivot];
    }
    __syncwarp();
  }
  return n_active;
}

// Solves with the factor, in place of the right side; held columns stay out of it.
DEVICE void substitute(const Room& room, i64 n_active) {
  const i64 lane = threadIdx.x, stride = room.stride;
  for (i64 pivot = 0; pivot < n_active; ++pivot) {
    const double value = room.right[pivot] / room.factor[pivot * stride + pivot];
    __syncwarp();
    if (lane == 0) room.right[pivot] = value;
    for (i64 row = pivot + 1 + lane; row < n_active; row += 32)
      room.right[row] -= room.factor[row * stride + pivot] * value;
    __syncwarp();
  }
  for (i64 pivot = n_active - 1; pivot >= 0; --pivot) {
    const bool is_held = room.active[room.n + pivot] != 0;
    const double value = room.right[pivot] / room.factor[pivot * stride + pivot];
    __syncwarp();
    if (lane == 0) room.right[pivot] = value;
    for (i64 row = lane; row < pivot && !is_held; row += 32)
      room.right[row] -= room.factor[pivot * stride + row] * value;
    __syncwarp();
  }
}

// Solves for the weights that have these signs; whether that is the minimum. Signs that were tried
// last are not tried again.
DEVICE bool settle(const Room& room, const Penalty& penalty, Place* place, int* tried) {
  const i64 lane = threadIdx.x, stride = room.stride;
  int signs[COLUMNS];
  bool is_other = false;
  for (int k = 0; k < COLUMNS; ++k) {
    signs[k] = lane + 32 * k < room.n ? sign(place->weights[k]) : 0;
    is_other = is_other || signs[k] != tried[k];
    tried[k] = signs[k];
  }
  if (!__any_sync(EVERYONE, is_other)) return false;
  const i64 n_active = factorise(room, penalty.l2, signs);
  // Until the free ones are solved for, the right sides are the weights, then the moments that the
  // held ones leave.
  for (int k = 0; k < COLUMNS; ++k)
    for (i64 rank = 0; rank < n_active; ++rank)
      if (room.active[rank] == lane + 32 * k) room.right[rank] = place->weights[k];
  __syncwarp();
  double pulls[COLUMNS], held_weights[COLUMNS];
  bool is_held[COLUMNS];
  for (int k = 0; k < COLUMNS; ++k) {
    const i64 column = lane + 32 * k;
    is_held[k] = false;
    held_weights[k] = place->weights[k];
    pulls[k] = column < room.n ? room.moments[column] : 0.0;
    for (i64 rank = 0; rank < n_active && column < room.n; ++rank) {
      const i64 other = room.active[rank];
      if (room.active[room.n + rank] == 0) continue;
      is_held[k] = is_held[k] || other == column;
      pulls[k] -= room.right[rank] * room.gram[other * stride + column];
    }
  }
  __syncwarp();
  for (int k = 0; k < COLUMNS; ++k)
    for (i64 rank = 0; rank < n_active; ++rank)
      if (room.active[rank] == lane + 32 * k)
        room.right[rank] = is_held[k] ? 0.0 : pulls[k] - penalty.l1 * signs[k];
  __syncwarp();
  substitute(room, n_active);
  bool is_least = true;
  double weights[COLUMNS];
  for (int k = 0; k < COLUMNS; ++k) {
    const i64 column = lane + 32 * k;
    weights[k] = signs[k] != 0 ? held_weights[k] : 0.0;
    for (i64 rank = 0; rank < n_active && column < room.n; ++rank) {
      if (room.active[room.n + rank] != 0) continue;
      const i64 other = room.active[rank];
      const double weight = room.right[rank];
      pulls[k] -= weight * room.gram[other * stride + column];
      if (other != column) continue;
      weights[k] = weight;
      const bool keeps = penalty.l1 == 0.0 || weight * signs[k] > 0.0;
      is_least = is_least && keeps && size(weight) < 1e300;
    }
    if (column >= room.n) continue;
    if (signs[k] == 0 && room.gram[column * stride + column] != 0.0)
      is_least = is_least && size(pulls[k]) <= penalty.l1 + penalty.slack;
    if (is_held[k]) {
      const double aim = penalty.l1 * signs[k] + penalty.l2 * weights[k];
      is_least = is_least && size(pulls[k] - aim) <= penalty.slack;
    }
  }
  if (!__all_sync(EVERYONE, is_least)) return false;
  for (int k = 0; k < COLUMNS; ++k) {
    place->weights[k] = weights[k];
    place->pulls[k] = pulls[k];
  }
  return true;
}

// Comes to rest where a penalty has its minimum; false where that is only near.
DEVICE bool rest(const Room& room, const Penalty& penalty, double y_squares, bool is_begun,
                 Place* place) {
  int tried[COLUMNS];
  for (int k = 0; k < COLUMNS; ++k) tried[k] = 2;
  if (is_begun && settle(room, penalty, place, tried)) return true;
  for (i64 round = 0; round < penalty.rounds; ++round) {
    const bool is_still = sweep(room, penalty, place);
    if (settle(room, penalty, place, tried)) return true;
    if ((is_still || round + 1 == penalty.rounds) &&
        gap(room, penalty, *place, y_squares) <= penalty.tolerance * y_squares)
      return false;
  }
  return false;
}

// The summed squared errors on the validating rows, NaN where digits are lost.
DEVICE double loss_of(const Room& room, const double* head, const double* ahead,
                      const double* moments_ahead, const Place& place) {
  const i64 lane = threadIdx.x, n = room.n;
  for (int k = 0; k < COLUMNS; ++k)
    if (lane + 32 * k < n) room.right[lane + 32 * k] = place.weights[k];
  __syncwarp();
  double with_y = 0.0, squares = 0.0;
  for (int k = 0; k < COLUMNS; ++k) {
    const i64 column = lane + 32 * k;
    if (column >= n) continue;
    double sum = 0.0;
    for (i64 row = 0; row < n; ++row) sum += ahead[row * n + column] * room.right[row];
    squares += sum * place.weights[k];
    with_y += moments_ahead[column] * place.weights[k];
  }
  squares = sum_of(squares);
  with_y = sum_of(with_y);
  const double left = head[SQUARES_AHEAD] - 2.0 * with_y + squares;
  const double all = head[SIZE_AHEAD] + 2.0 * size(with_y) + squares;
  return left > LEAST_ERROR * all ? left : __longlong_as_double(0x7ff8000000000000LL);
}

extern "C" __global__ void __launch_bounds__(32, 8) net(const NetArguments a) {
  SHARED(memory);
  const i64 lane = threadIdx.x;
  const i64* const own = a.tasks + 6 * (i64)blockIdx.x;
  const i64 n_possible = own[1], n_penalties = own[3] - own[2];
  const double* const head = a.systems + own[0];
  const double* const penalties = a.penalties + 3 * own[2];
  const double nothing = __longlong_as_double(0x7ff8000000000000LL);
  double* const losses = a.losses + own[5];
  const i64 n = (i64)head[N_FEATURES];
  if (head[IS_SOUND] == 0.0 || n > 32 * COLUMNS) {
    for (i64 at = lane; at < n_penalties; at += 32) losses[at] = nothing;
    return;
  }
  const double* const moments = head + HEAD;
  const double* const gram = moments + 2 * n_possible;
  Room room;
  room.n = n;
  room.stride = n | 1;  // odd, so that a column's numbers lie in different banks
  room.gram = (double*)memory;
  room.factor = room.gram + n * room.stride;
  room.right = room.factor + n * room.stride;
  room.moments = room.right + n;
  room.active = (i64*)(room.moments + n);
  for (i64 row = 0; row < n; ++row)
    for (i64 column = lane; column < n; column += 32)
      room.gram[row * room.stride + column] = gram[row * n + column];
  Place place;
  double steepest = 0.0;
  for (int k = 0; k < COLUMNS; ++k) {
    const i64 column = lane + 32 * k;
    place.weights[k] = 0.0;
    place.pulls[k] = column < n ? moments[column] : 0.0;
    if (column < n) room.moments[column] = moments[column];
    steepest = size(place.pulls[k]) > steepest ? size(place.pulls[k]) : steepest;
  }
  steepest = largest_of(steepest);
  __syncwarp();

  const double l1_ratio = __longlong_as_double(own[4]), total = head[TOTAL];
  const double y_squares = head[SQUARES];
  double rung = l1_ratio > 0.0 ? steepest / (l1_ratio * total) : 0.0;
  int n_rungs = 0;
  for (i64 at = 0; at < n_penalties; ++at) {
    const double alpha = penalties[3 * at];
    while (n_rungs + 1 < N_RUNGS && rung * RUNG >= alpha && rung > 0.0) {
      rung *= RUNG;
      const double l1 = rung * l1_ratio * total;
      const Penalty step = {l1, rung * (1.0 - l1_ratio) * total, RUNG_TOLERANCE, RUNG_ROUNDS,
                            slack_of(l1, steepest)};
      rest(room, step, y_squares, n_rungs > 0, &place);
      ++n_rungs;
    }
    const double l1 = alpha * l1_ratio * total;
    const Penalty penalty = {l1, alpha * (1.0 - l1_ratio) * total, penalties[3 * at + 1],
                             (i64)penalties[3 * at + 2], slack_of(l1, steepest)};
    Place found = place;
    const bool is_least = rest(room, penalty, y_squares, n_rungs > 0, &found);
    const double loss = loss_of(room, head, gram + n_possible * n_possible, moments + n_possible,
                                found);
    if (lane == 0) losses[at] = is_least ? loss : nothing;
    __syncwarp();
  }
}

KERNEL(net, NetArguments)
