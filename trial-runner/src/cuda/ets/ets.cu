// Searches for the numbers of one form of exponential smoothing, for many series at once.
//
// The CPU's series/ets: the coarse grid of start.rs and linear.rs, the recursion of recursion.rs, its
// derivatives of sensitivity.rs, and the Levenberg–Marquardt steps of search.rs, with the same region,
// damping and ends. A search looks at each place once: the sum and the equations come from one walk. Nobody
// gives up for a rival. Trends are added or none; logarithms are own sums and products.
//
// A search is done by LANES lanes of a warp, in step with the other searches of the warp; lane l
// owns the columns l, l + LANES, … of the equations. One block is one warp. Shared memory: `room`
// numbers for each of its 32 / LANES searches. Compiled in: WIDEST, the columns of a lane at most.
// One file, because a kernel includes nothing but kernel.h.
#include "kernel.h"

#ifndef WIDEST
#define WIDEST 2
#endif
// Not inlined: the registers of one are free for the next.
#define CALLED static __device__ __noinline__
#define EVERYONE 0xffffffffu
#define LANES 8
#define BLOCK 16
#define NONE 0
#define ADD 1
#define MUL 2
#define MOST_STEPS 60
#define SHARE_LOW 1e-4
#define SHARE_HIGH 0.9999
#define PHI_LOW 0.8
#define PHI_HIGH 0.98
#define SMALLEST_FACTOR 1e-6
#define SMALL 1e-280
#define SHORT_SERIES 150
#define LEAST_DETERMINANT 1e-10

struct EtsArguments {
  const double* values;    // series after series
  const double* starts;    // per search: level, trend, the first season
  const i64* searches;     // 5 words: first value, how many, side (1 follows, 0 stays), place in
                           // `starts`, place in `ends`
  double* ends;            // per search: sum, alpha, shares of beta and gamma, phi, level, trend,
                           // seasons
  i64 n_searches;
  i64 season;              // phases, 0 for none
  i64 trend;               // NONE or ADD
  i64 kind;                // of the season: NONE, ADD or MUL
  i64 is_relative;         // whether the error scales
  i64 is_damped;
  i64 is_season_searched;
  i64 room;                // numbers of shared memory for each search
};

enum { ALPHA, BETA, GAMMA, PHI, LEVEL, TREND, N_NUMBERS };

struct Form {
  i64 season, trend, kind;
  bool is_relative, is_damped;
};

// What a search shares among its lanes. Of two places one is current, the other is tried.
struct Room {
  double* numbers[2];
  double* seasons[2];
  double* products[2];
  double *ring, *by_season, *rows, *factor, *step, *right, *diagonal, *drift;
};

// Which column belongs to which number.
struct Columns {
  i64 beta, gamma, phi, level, trend, seasons, n, stride;
};

DEVICE double infinity() { return __longlong_as_double(0x7ff0000000000000LL); }
DEVICE bool is_finite(double x) { return x - x == 0.0; }
DEVICE double clamp(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

// The logarithm of the geometric mean of the one-step means, as the CPU's Sum has it.
struct Means {
  double logs, product;
};

DEVICE void scale(Means* means, double mean) {
  const double product = means->product * mean;
  if (product > 1e-100 && product < 1e100 && mean > 1e-100) {
    means->product = product;
  } else if (mean > SMALL && is_finite(mean)) {
    means->logs += ln(means->product) + ln(mean);
    means->product = 1.0;
  } else {
    means->logs = infinity();
  }
}

DEVICE double total_of(double squares, const Means& means, i64 n, bool is_relative) {
  if (!is_relative) return is_finite(squares) ? squares : infinity();
  if (!is_finite(means.logs)) return infinity();
  const double mean = exp_of((means.logs + ln(means.product)) / (double)(n > 1 ? n : 1));
  const double total = squares * mean * mean;
  return is_finite(total) ? total : infinity();
}

// One step of the recursion. Divisions are slow: what is divided by is inverted once.
struct Step {
  double next, mean, error, error_of_level, error_of_season;
  double per_next, per_season, per_mean;
};

DEVICE Step step_of(const Form& form, double value, double level, double fade, double season) {
  Step step;
  step.next = form.trend == NONE ? level : level + fade;
  step.per_next = form.kind == MUL ? 1.0 / step.next : 0.0;
  step.per_season = form.kind == MUL ? 1.0 / season : 0.0;
  if (form.kind == NONE) {
    step.mean = step.next;
    step.error_of_level = value - step.next;
  } else if (form.kind == ADD) {
    step.mean = step.next + season;
    step.error_of_level = value - season - step.next;
  } else {
    step.mean = step.next * season;
    step.error_of_level = value * step.per_season - step.next;
  }
  step.error = value - step.mean;
  step.error_of_season = form.kind == MUL ? value * step.per_next - season : step.error;
  step.per_mean = !form.is_relative  ? 0.0
                  : form.kind == MUL ? step.per_next * step.per_season
                                     : 1.0 / step.mean;
  return step;
}

// The sum at some numbers; the ring of a lane's season has its phases LANES apart.
CALLED double run(const Form& form, const double* y, i64 n, const double* numbers,
                  const double* seasons, double* ring) {
  const double alpha = numbers[ALPHA], beta = alpha * numbers[BETA];
  const double gamma = (1.0 - alpha) * numbers[GAMMA], phi = numbers[PHI];
  double level = numbers[LEVEL], trend = numbers[TREND], squares = 0.0;
  Means means = {0.0, 1.0};
  for (i64 phase = 0; phase < form.season; ++phase) {
    if (form.kind == MUL && !(seasons[phase] >= SMALLEST_FACTOR)) return infinity();
    ring[phase * LANES] = seasons[phase];
  }
  i64 phase = 0;
  for (i64 t = 0; t < n; ++t) {
    const double season = form.kind == NONE ? 0.0 : ring[phase * LANES], fade = phi * trend;
    const Step step = step_of(form, y[t], level, fade, season);
    const double error = form.is_relative ? step.error * step.per_mean : step.error;
    squares += error * error;
    if (form.is_relative) scale(&means, step.mean);
    if (form.kind != NONE) ring[phase * LANES] = season + gamma * step.error_of_season;
    if (form.trend != NONE) trend = fade + beta * step.error_of_level;
    level = step.next + alpha * step.error_of_level;
    phase = phase + 1 == form.season ? 0 : phase + 1;
  }
  return total_of(squares, means, n, form.is_relative);
}

DEVICE Columns columns_of(const Form& form, i64 n_seasons) {
  Columns columns;
  i64 n = 1;
  columns.beta = form.trend != NONE ? n++ : -1;
  columns.gamma = form.kind != NONE ? n++ : -1;
  columns.phi = form.is_damped ? n++ : -1;
  columns.level = n++;
  columns.trend = form.trend != NONE ? n++ : -1;
  columns.seasons = n;
  columns.n = n + n_seasons;
  columns.stride = (columns.n + LANES) / LANES * LANES;
  return columns;
}

// Where the number of a column stands, in the numbers or, from 0 on, in the seasons.
DEVICE i64 number_of(const Columns& columns, i64 column) {
  return column == 0                 ? ALPHA
         : column == columns.beta    ? BETA
         : column == columns.gamma   ? GAMMA
         : column == columns.phi     ? PHI
         : column == columns.level   ? LEVEL
                                     : TREND;
}

// The bounds of a column; false where it has none.
DEVICE bool bounds_of(const Columns& columns, i64 column, double most_beta, double* low,
                      double* high) {
  *low = column == columns.phi ? PHI_LOW : SHARE_LOW;
  *high = column == columns.phi ? PHI_HIGH : column == columns.beta ? most_beta : SHARE_HIGH;
  return column == 0 || column == columns.beta || column == columns.gamma ||
         column == columns.phi;
}

// Adds the products of the rows, tile by tile, and begins new rows.
DEVICE void absorb(const Room& room, double* products, i64 stride, i64 lane) {
  const i64 side = stride / 4, n_tiles = side * (side + 1) / 2;
  for (i64 tile = lane; tile < n_tiles; tile += LANES) {
    i64 across = 0, down = tile;
    while (down > across) down -= ++across;
    double sums[4][4];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) sums[i][j] = 0.0;
    for (int row = 0; row < BLOCK; ++row) {
      const double* const left = room.rows + row * stride + 4 * down;
      const double* const right = room.rows + row * stride + 4 * across;
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) sums[i][j] += left[i] * right[j];
    }
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        products[(4 * down + i) * stride + 4 * across + j] += sums[i][j];
  }
}

// What the numbers of a lane's columns add to the derivatives at each step.
struct Units {
  double level, trend, season, phi, error;
};

// What a walk finds at a place.
struct Here {
  double sum;     // infinite where a mean was not above 0 or a number left the range
  bool is_sound;  // whether the equations can be solved
};

// The sum at the place `which`, and its equations: products of all columns with each other and with
// the residual, which is the column n.
CALLED Here evaluate(const Form& form, const Columns& columns, const double* y, i64 n,
                     i64 n_longest, const Room& room, int which, bool is_wanted, i64 lane) {
  const i64 stride = columns.stride, width = stride / LANES;
  const double* const numbers = room.numbers[which];
  double* const products = room.products[which];
  const double alpha = numbers[ALPHA], beta = alpha * numbers[BETA], phi = numbers[PHI];
  const double gamma = (1.0 - alpha) * numbers[GAMMA];
  double level = numbers[LEVEL], trend = numbers[TREND];
  double by_level[WIDEST], by_trend[WIDEST], drift[WIDEST];
  Units units[WIDEST];
  bool is_inside = true;
  for (int k = 0; k < WIDEST; ++k) {
    const i64 column = lane + LANES * k;
    const bool is_first = column == 0;
    by_level[k] = column == columns.level;
    by_trend[k] = column == columns.trend;
    drift[k] = 0.0;
    units[k].level = is_first;
    units[k].trend = is_first ? numbers[BETA] : column == columns.beta ? alpha : 0.0;
    units[k].season =
        is_first ? -numbers[GAMMA] : column == columns.gamma ? 1.0 - alpha : 0.0;
    units[k].phi = column == columns.phi ? 1.0 / phi : 0.0;
    units[k].error = column == columns.n;
    for (i64 phase = 0; phase < form.season && k < width; ++phase) {
      double own = 0.0;
      if (columns.n > columns.seasons && column >= columns.seasons && column < columns.n)
        own = column - columns.seasons == phase ? 1.0 : phase + 1 == form.season ? -1.0 : 0.0;
      room.by_season[phase * stride + column] = own;
    }
  }
  __syncwarp();
  for (i64 phase = lane; phase < form.season; phase += LANES)
    room.ring[phase] = room.seasons[which][phase];
  for (i64 at = lane; at < stride * stride; at += LANES) products[at] = 0.0;
  for (i64 phase = 0; phase < form.season; ++phase)
    is_inside = is_inside && (form.kind != MUL || room.seasons[which][phase] >= SMALLEST_FACTOR);
  __syncwarp();
  Means means = {0.0, 1.0};
  i64 phase = 0;
  for (i64 begin = 0; begin < n_longest; begin += BLOCK) {
    for (i64 t = begin; t < begin + BLOCK; ++t) {
      const bool is_there = is_wanted && t < n;
      const double value = is_there ? y[t] : 0.0;
      const double season = form.kind == NONE ? 0.0 : room.ring[phase], fade = phi * trend;
      const Step step = step_of(form, value, level, fade, season);
      const double of_mean = step.per_mean;
      const double of_residual = form.is_relative ? -value * of_mean * of_mean : -1.0;
      const double residual = form.is_relative ? step.error * of_mean : step.error;
      const double error_by_season = value * step.per_season * step.per_season;
      const double season_by_next = gamma * value * step.per_next * step.per_next;
      // Each lane knows the whole season, so all have read it before one of them moves it.
      __syncwarp();
      for (int k = 0; k < WIDEST; ++k) {
        if (k >= width) continue;
        const i64 column = lane + LANES * k;
        double* const cell = room.rows + (t - begin) * stride + column;
        *cell = 0.0;
        if (!is_there) continue;
        double* const own_season = room.by_season + phase * stride + column;
        const double of_season = form.kind == NONE ? 0.0 : *own_season;
        double of_trend = by_trend[k] + units[k].phi * trend;
        const double next = form.trend == NONE ? by_level[k] : by_level[k] + phi * of_trend;
        double mean = next, error = -next;
        if (form.kind == ADD) {
          mean = next + of_season;
          error = -mean;
        } else if (form.kind == MUL) {
          mean = season * next + step.next * of_season;
          error = -(next + error_by_season * of_season);
        }
        *cell = of_residual * mean + residual * units[k].error;
        drift[k] += of_mean * mean;
        by_trend[k] = phi * of_trend + beta * error + units[k].trend * step.error_of_level;
        if (form.kind == ADD)
          *own_season = of_season + gamma * error + units[k].season * step.error_of_season;
        if (form.kind == MUL)
          *own_season = (1.0 - gamma) * of_season - season_by_next * next +
                        units[k].season * step.error_of_season;
        by_level[k] = next + alpha * error + units[k].level * step.error_of_level;
      }
      if (!is_there) continue;
      if (form.is_relative) scale(&means, step.mean);
      if (form.kind != NONE && lane == 0)
        room.ring[phase] = season + gamma * step.error_of_season;
      if (form.trend != NONE) trend = fade + beta * step.error_of_level;
      level = step.next + alpha * step.error_of_level;
      phase = phase + 1 == form.season ? 0 : phase + 1;
    }
    __syncwarp();
    if (is_wanted) absorb(room, products, stride, lane);
    __syncwarp();
  }
  for (int k = 0; k < WIDEST; ++k)
    if (k < width) room.drift[lane + LANES * k] = drift[k] / (double)(n > 1 ? n : 1);
  for (i64 row = lane; row < stride; row += LANES)
    for (i64 column = 0; column < row; ++column)
      products[row * stride + column] = products[column * stride + row];
  __syncwarp();
  const double squares = products[columns.n * stride + columns.n];
  const double total = total_of(squares, means, n, form.is_relative);
  // What the geometric mean contributes; the column n holds the slopes.
  if (form.is_relative) {
    for (i64 row = lane; row < columns.n; row += LANES) {
      const double down = room.drift[row], slope = products[columns.n * stride + row];
      for (i64 column = 0; column < columns.n; ++column) {
        const double across = room.drift[column];
        products[row * stride + column] +=
            slope * across + down * products[columns.n * stride + column] + squares * down * across;
      }
      products[row * stride + columns.n] = slope + squares * down;
    }
  }
  __syncwarp();
  bool is_sound = is_finite(level) && is_finite(trend);
  for (i64 row = 0; row <= columns.n; ++row)
    is_sound = is_sound && is_finite(products[row * stride + columns.n]) &&
               is_finite(products[row * stride + row]);
  return {is_inside ? total : infinity(), is_sound};
}

// Cholesky's factor of the numbers that are not held, and the solution in `right`; false where the
// matrix is not positive.
DEVICE bool solve_free(const Columns& columns, const Room& room, const double* products,
                       u32 held, double damping, i64 lane) {
  const i64 n = columns.n, stride = columns.stride;
  for (i64 row = lane; row < n; row += LANES) {
    const bool is_held = (held >> row) & 1;
    double right = is_held ? room.step[row] : -products[row * stride + n];
    for (i64 column = 0; column < n; ++column) {
      const bool other = (held >> column) & 1;
      const double product = products[row * stride + column];
      double cell = is_held || other ? 0.0 : product;
      if (row == column) cell = is_held ? 1.0 : product * (1.0 + damping) + 2.2250738585072014e-308;
      if (!is_held && other) right -= product * room.step[column];
      if (column <= row) room.factor[row * stride + column] = cell;
    }
    room.right[row] = right;
    room.diagonal[row] = room.factor[row * stride + row];
  }
  __syncwarp();
  bool is_positive = true;
  for (i64 pivot = 0; pivot < n; ++pivot) {
    const double left = room.factor[pivot * stride + pivot];
    const bool is_fine = left > room.diagonal[pivot] * 1e-14;
    is_positive = is_positive && is_fine;
    const double root = is_fine ? sqrt(left) : 1.0;
    __syncwarp();
    // The right side is solved along with it.
    const double value = room.right[pivot] / root;
    for (i64 row = pivot + 1 + lane; row < n; row += LANES) {
      const double own = room.factor[row * stride + pivot] / root;
      room.factor[row * stride + pivot] = own;
    }
    __syncwarp();
    if (lane == 0) {
      room.factor[pivot * stride + pivot] = root;
      room.right[pivot] = value;
    }
    for (i64 row = pivot + 1 + lane; row < n; row += LANES) {
      const double own = room.factor[row * stride + pivot];
      room.right[row] -= own * value;
      for (i64 column = pivot + 1; column <= row; ++column)
        room.factor[row * stride + column] -= own * room.factor[column * stride + pivot];
    }
    __syncwarp();
  }
  for (i64 pivot = n - 1; pivot >= 0; --pivot) {
    const double value = room.right[pivot] / room.factor[pivot * stride + pivot];
    __syncwarp();
    if (lane == 0) room.right[pivot] = value;
    for (i64 row = lane; row < pivot; row += LANES)
      room.right[row] -= room.factor[pivot * stride + row] * value;
    __syncwarp();
  }
  return is_positive;
}

// The damped step inside the box; the share of the squares that is expected to be left after it,
// negative infinity where there is no solution.
CALLED double solve(const Columns& columns, const Room& room, int current, double most_beta,
                    double damping, bool is_wanted, i64 lane) {
  const i64 n = columns.n, stride = columns.stride;
  const double* const products = room.products[current];
  const double* const numbers = room.numbers[current];
  u32 held = 0;
  for (i64 column = 0; column < columns.level; ++column) {
    double low, high;
    bounds_of(columns, column, most_beta, &low, &high);
    const double at = numbers[number_of(columns, column)];
    const double slope = products[column * stride + n];
    if ((at <= low && slope > 0.0) || (at >= high && slope < 0.0)) held |= 1u << column;
  }
  __syncwarp();
  for (i64 column = lane; column < n; column += LANES) room.step[column] = 0.0;
  __syncwarp();
  bool is_inside = !is_wanted, is_solved = is_wanted;
  // Each round holds at least one more number at its bound, so four weights need five.
  for (int round = 0; round < 5 && __any_sync(EVERYONE, !is_inside); ++round) {
    const bool is_positive = solve_free(columns, room, products, held, damping, lane);
    bool is_new = false;
    if (!is_inside) {
      bool is_fine = is_positive;
      for (i64 column = 0; column < n; ++column) is_fine = is_fine && is_finite(room.right[column]);
      is_solved = is_fine;
      is_new = is_fine;
      is_inside = true;
    }
    __syncwarp();
    if (is_new)
      for (i64 column = lane; column < n; column += LANES)
        if (!((held >> column) & 1)) room.step[column] = room.right[column];
    __syncwarp();
    u32 more = 0;
    for (i64 column = 0; column < columns.level && is_new; ++column) {
      double low, high;
      bounds_of(columns, column, most_beta, &low, &high);
      const double to = numbers[number_of(columns, column)] + room.step[column];
      if (!((held >> column) & 1) && (to < low || to > high)) more |= 1u << column;
    }
    __syncwarp();
    for (i64 column = lane; column < columns.level; column += LANES) {
      if (!((more >> column) & 1)) continue;
      double low, high;
      bounds_of(columns, column, most_beta, &low, &high);
      const double at = numbers[number_of(columns, column)];
      room.step[column] = clamp(at + room.step[column], low, high) - at;
    }
    held |= more;
    if (more != 0) is_inside = false;
    __syncwarp();
  }
  double change = 0.0;
  for (i64 row = 0; row < n; ++row) {
    double across = 0.0;
    for (i64 column = 0; column < n; ++column)
      across += products[row * stride + column] * room.step[column];
    change += room.step[row] * (2.0 * products[row * stride + n] + across);
  }
  const double left = 1.0 + change / products[n * stride + n];
  return is_solved && is_finite(left) ? left : -infinity();
}

// The place that a step leads to.
DEVICE void move(const Form& form, const Columns& columns, const Room& room, int current,
                 double most_beta, i64 lane) {
  const int other = 1 - current;
  for (i64 at = lane; at < N_NUMBERS; at += LANES)
    room.numbers[other][at] = room.numbers[current][at];
  const i64 n_searched = columns.n - columns.seasons;
  for (i64 phase = lane; phase < form.season; phase += LANES) {
    double to = room.seasons[current][phase];
    if (phase < n_searched) to += room.step[columns.seasons + phase];
    for (i64 own = 0; own < n_searched && phase == n_searched; ++own)
      to -= room.step[columns.seasons + own];
    room.seasons[other][phase] = to;
  }
  __syncwarp();
  for (i64 column = lane; column < columns.seasons; column += LANES) {
    double low, high;
    const i64 number = number_of(columns, column);
    double to = room.numbers[current][number] + room.step[column];
    if (bounds_of(columns, column, most_beta, &low, &high)) to = clamp(to, low, high);
    room.numbers[other][number] = to;
  }
  __syncwarp();
}

// Goes down from the current place, which may have no finite sum yet, until a step promises less than
// `gain`; which place is current then, and its sum.
DEVICE int descend(const Form& form, i64 n_seasons, const double* y, i64 n, i64 n_longest,
                   const Room& room, int current, double gain, bool is_there, double* sum,
                   i64 lane) {
  const Columns columns = columns_of(form, n_seasons);
  const double share = (double)n / 500.0, most_beta = clamp(share, 0.1, SHARE_HIGH);
  const Here first = evaluate(form, columns, y, n, n_longest, room, current, is_there, lane);
  *sum = first.sum;
  bool is_done = !is_there || !first.is_sound;
  double damping = 1e-3;
  for (int round = 0; round < MOST_STEPS && __any_sync(EVERYONE, !is_done); ++round) {
    const double left = solve(columns, room, current, most_beta, damping, !is_done, lane);
    const bool is_solved = is_finite(left);
    const double promise = is_solved ? -(double)n * ln(left > 1e-12 ? left : 1e-12) : 0.0;
    if (!is_done && !is_solved) damping *= 10.0;
    if (!is_done && is_solved && promise < gain) is_done = true;
    const bool is_tried = !is_done && is_solved;
    move(form, columns, room, current, most_beta, lane);
    const Here next =
        evaluate(form, columns, y, n, n_longest, room, 1 - current, is_tried, lane);
    if (is_tried && next.sum < *sum) {
      // A sum of 0 is as low as can be.
      const bool is_measured = next.sum > 0.0 && is_finite(*sum);
      const double won = is_measured ? (double)n * (ln(*sum) - ln(next.sum)) : infinity();
      damping = won > 0.5 * promise ? damping * 0.1 : damping * 2.0;
      current = 1 - current;
      *sum = next.sum;
      if (won < gain || !(next.sum > 1e-300) || !next.is_sound) is_done = true;
    } else if (is_tried) {
      damping *= 8.0;
    }
    if (damping > 1e8) is_done = true;
  }
  return current;
}

// First level and trend by least squares for the weights among `numbers`, left there, as linear.rs has
// them: errors are linear in both, the season taken as fixed. Returns the sum of squares that is left.
CALLED double solve_first(const Form& form, const double* y, i64 n, double* numbers,
                          const double* seasons) {
  const double alpha = numbers[ALPHA], beta = alpha * numbers[BETA];
  const double phi = form.trend == NONE ? 0.0 : numbers[PHI];
  // What is smoothed of the values from 0 on, and of a first level and a first trend of 1.
  double level[3] = {0.0, 1.0, 0.0}, trend[3] = {0.0, 0.0, 1.0};
  double products[3][3] = {{0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}};
  i64 phase = 0;
  for (i64 t = 0; t < n; ++t) {
    const double season = form.kind == NONE ? 0.0 : seasons[phase];
    const double value = form.kind == MUL ? y[t] / season : y[t] - season;
    const double factor = form.kind == MUL ? season : 1.0;
    const double weight = form.is_relative ? 1.0 / (value * value) : factor * factor;
    double errors[3];
    for (int part = 0; part < 3; ++part) {
      const double fade = phi * trend[part], next = level[part] + fade;
      errors[part] = (part == 0 ? value : 0.0) - next;
      trend[part] = fade + beta * errors[part];
      level[part] = next + alpha * errors[part];
    }
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j <= i; ++j) products[i][j] += weight * errors[i] * errors[j];
    phase = phase + 1 == form.season ? 0 : phase + 1;
  }
  const double ll = products[1][1], lt = products[2][1], tt = products[2][2];
  const double rl = products[1][0], rt = products[2][0], determinant = ll * tt - lt * lt;
  const bool has_trend = form.trend != NONE;
  if (has_trend && !(determinant > LEAST_DETERMINANT * ll * tt)) return infinity();
  numbers[LEVEL] = has_trend ? (rt * lt - rl * tt) / determinant : -rl / ll;
  numbers[TREND] = has_trend ? (rl * lt - rt * ll) / determinant : 0.0;
  const double left = products[0][0] + numbers[LEVEL] * rl + numbers[TREND] * rt;
  const bool is_there = is_finite(numbers[LEVEL]) && is_finite(numbers[TREND]);
  return !is_there || !is_finite(left) ? infinity() : left > 0.0 ? left : 0.0;
}

// The best of the coarse grid on one side.
DEVICE void begin(const Form& form, const EtsArguments& a, const i64* own, const double* y,
                  const Room& room, i64 lane) {
  const i64 n = own[1];
  const bool is_short = n <= SHORT_SERIES;
  const double alphas[3] = {0.2, 0.5, 0.9};
  const double betas[2] = {0.02, clamp((double)n / 500.0, 0.1, 0.2)};
  const double gammas[2] = {0.02, 0.3};
  const bool is_forked = is_short && form.kind == NONE;
  const double phis[2] = {is_forked ? 0.98 : 0.95, is_forked ? 0.8 : 0.85};
  const i64 n_alphas = own[2] == 1 ? 3 : 1, n_betas = form.trend != NONE ? 2 : 1;
  const i64 n_gammas = form.kind != NONE ? 2 : 1, n_phis = form.is_damped && is_short ? 2 : 1;
  double* const ring = room.by_season + lane;
  const double* const seasons = a.starts + own[3] + 2;
  double numbers[N_NUMBERS], solved[N_NUMBERS], best[N_NUMBERS];
  for (int at = 0; at < N_NUMBERS; ++at) solved[at] = best[at] = 0.0;
  double sum = infinity(), squares = infinity();
  for (i64 point = lane; point < n_alphas * n_betas * n_gammas * n_phis; point += LANES) {
    const i64 beta = point / n_alphas, gamma = beta / n_betas, phi = gamma / n_gammas;
    numbers[ALPHA] = own[2] == 1 ? alphas[point % n_alphas] : 0.05;
    numbers[BETA] = form.trend == NONE ? 0.0 : betas[beta % n_betas];
    numbers[GAMMA] = form.kind == NONE ? 0.0 : gammas[gamma % n_gammas];
    numbers[PHI] = form.is_damped ? phis[phi] : 1.0;
    numbers[LEVEL] = a.starts[own[3]];
    numbers[TREND] = a.starts[own[3] + 1];
    const double found = run(form, y, n, numbers, seasons, ring);
    if (found < sum || point == lane) {
      sum = found;
      for (int at = 0; at < N_NUMBERS; ++at) best[at] = numbers[at];
    }
    if (!is_short || gamma % n_gammas > 0) continue;
    const double left = solve_first(form, y, n, numbers, seasons);
    if (left < squares) {
      squares = left;
      for (int at = 0; at < N_NUMBERS; ++at) solved[at] = numbers[at];
    }
  }
  if (is_finite(squares)) {
    const double found = run(form, y, n, solved, seasons, ring);
    if (found < sum) {
      sum = found;
      for (int at = 0; at < N_NUMBERS; ++at) best[at] = solved[at];
    }
  }
  // A lane without a point has none but an infinite sum.
  double* const own_best = room.rows + lane * (N_NUMBERS + 1);
  own_best[N_NUMBERS] = sum;
  for (int at = 0; at < N_NUMBERS; ++at) own_best[at] = best[at];
  __syncwarp();
  i64 first = 0;
  for (i64 other = 1; other < LANES; ++other)
    if (room.rows[other * (N_NUMBERS + 1) + N_NUMBERS] <
        room.rows[first * (N_NUMBERS + 1) + N_NUMBERS])
      first = other;
  if (lane == 0)
    for (int at = 0; at < N_NUMBERS; ++at)
      room.numbers[0][at] = room.rows[first * (N_NUMBERS + 1) + at];
  for (i64 phase = lane; phase < form.season; phase += LANES)
    room.seasons[0][phase] = seasons[phase];
  __syncwarp();
}

DEVICE Room room_of(double* memory, i64 season, i64 stride) {
  Room room;
  double* at = memory;
  for (int which = 0; which < 2; ++which) {
    room.numbers[which] = at;
    room.seasons[which] = at + N_NUMBERS;
    room.products[which] = at + N_NUMBERS + season;
    at += N_NUMBERS + season + stride * stride;
  }
  room.ring = at;
  room.by_season = room.ring + season;
  room.rows = room.by_season + season * stride;
  room.factor = room.rows + BLOCK * stride;
  room.step = room.factor + stride * stride;
  room.right = room.step + stride;
  room.diagonal = room.right + stride;
  room.drift = room.diagonal + stride;
  return room;
}

extern "C" __global__ void __launch_bounds__(32, 4) ets(const EtsArguments a) {
  SHARED(memory);
  const i64 lane = threadIdx.x % LANES, per_block = 32 / LANES;
  const i64 search = (i64)blockIdx.x * per_block + threadIdx.x / LANES;
  const bool is_there = search < a.n_searches;
  const i64* const own = a.searches + 5 * (is_there ? search : a.n_searches - 1);
  const Form form = {a.season, a.trend, a.kind, a.is_relative != 0, a.is_damped != 0};
  const i64 n_seasons = a.is_season_searched ? a.season - 1 : 0;
  const i64 stride = columns_of(form, n_seasons).stride;
  const Room room =
      room_of((double*)memory + a.room * (threadIdx.x / LANES), a.season, stride);
  const double* const y = a.values + own[0];
  const i64 n = own[1];
  i64 n_longest = n;
  for (int by = 16; by > 0; by /= 2) {
    const i64 other = __shfl_xor_sync(EVERYONE, n_longest, by);
    n_longest = other > n_longest ? other : n_longest;
  }
  begin(form, a, own, y, room, lane);
  double sum = infinity();
  int current = 0;
  if (n_seasons > 0)
    current = descend(form, 0, y, n, n_longest, room, current, 1.0, is_there, &sum, lane);
  current = descend(form, n_seasons, y, n, n_longest, room, current, 0.01, is_there, &sum, lane);
  if (!is_there) return;
  double* const end = a.ends + own[4];
  if (lane == 0) {
    end[0] = sum;
    for (int at = 0; at < N_NUMBERS; ++at) end[1 + at] = room.numbers[current][at];
  }
  for (i64 phase = lane; phase < form.season; phase += LANES)
    end[1 + N_NUMBERS + phase] = room.seasons[current][phase];
}

KERNEL(ets, EtsArguments)
