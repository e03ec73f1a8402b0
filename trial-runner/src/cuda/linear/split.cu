// What lines need of one fold of one entity: the system over its training rows, and the same sums
// over its validating rows on the scale of the weights. The arithmetic is that of the CPU's
// trainer/linear/basis.rs; sums are added from those of the classes, never subtracted.
//
// One block a fold and form. Shared memory: width × width numbers and five numbers a feature.
#include "kernel.h"

// What must be left of a sum of squares: three digits may go, of sixteen.
#define LEAST_LEFT 1e-3

struct SplitArguments {
  const double* sums;   // of the classes of all entities
  const i64* entities;  // 6 words: first sums, width, column of the target, its shift (bits), first
                        // feature, how many features there may be
  const i64* features;  // 7 words: column, column of holes or -1, the first and the end of the
                        // group of words or -1, raw zero, raw scale (bits), bits of the folds that
                        // learn nothing from it
  const i64* splits;    // 6 words: entity, bits of the classes that train, that validate, place,
                        // fold, form (bits)
  double* systems;      // 8 numbers (below), moments, validating moments, Gram, validating Gram
};

// The bits of a form: features are scaled to a deviation of 1, and there is an intercept.
enum { IS_STANDARD = 1, HAS_INTERCEPT = 2 };

// The numbers before a system.
enum { N_FEATURES, IS_SOUND, TOTAL, SQUARES, SQUARES_AHEAD, SIZE_AHEAD, HEAD = 8 };

struct Feature {
  i64 at, hole;
  double fill, zero, factor;
};

struct Sums {
  const double* cells;
  i64 width, ones;
};

DEVICE double with(const Sums& sums, const Feature& feature, i64 column) {
  const double own = sums.cells[feature.at * sums.width + column];
  return feature.hole < 0 ? own
                          : own + feature.fill * sums.cells[feature.hole * sums.width + column];
}

// Products of two features before anything is taken off them.
DEVICE double between(const Sums& sums, const Feature& one, const Feature& other) {
  const double own = with(sums, one, other.at);
  return other.hole < 0 ? own : own + other.fill * with(sums, one, other.hole);
}

DEVICE double total_of(const Sums& sums) { return sums.cells[sums.ones * sums.width + sums.ones]; }

DEVICE double centred(const Sums& sums, const Feature& one, const Feature& other) {
  const double shifted =
      between(sums, one, other) - one.zero * with(sums, other, sums.ones) -
      other.zero * (with(sums, one, sums.ones) - total_of(sums) * one.zero);
  return shifted * one.factor * other.factor;
}

// What a sum of squares was left from.
DEVICE double before(const Sums& sums, const Feature& one) {
  const double own = sums.cells[one.at * sums.width + one.at];
  if (one.hole < 0) return own;
  return own + one.fill * one.fill * sums.cells[one.hole * sums.width + one.hole];
}

// Nonsense is lost, too.
DEVICE bool is_lost(double left, double from) { return !(left > LEAST_LEFT * from); }

// Adds the sums of the classes whose bits are set.
DEVICE void gather(double* into, const double* classes, i64 width, u64 bits) {
  for (i64 at = threadIdx.x; at < width * width; at += blockDim.x) {
    double sum = 0.0;
    for (int index = 0; index < 64 && (bits >> index) != 0; ++index)
      if ((bits >> index) & 1) sum += classes[index * width * width + at];
    into[at] = sum;
  }
}

// The feature that a column is in this fold; false where it is none.
DEVICE bool is_feature(const Sums& sums, const i64* features, i64 index, i64 fold,
                       Feature* feature) {
  const i64* const own = features + 7 * index;
  const i64 first = own[2], end = own[3];
  *feature = Feature{own[0], own[1], 0.0, 0.0, 1.0};
  const double* const cells = sums.cells;
  if (((u64)own[6] >> fold) & 1) return false;
  if (first < 0) {
    if (feature->hole >= 0) {
      const double n_present = total_of(sums) - cells[feature->hole * sums.width + sums.ones];
      feature->fill =
          cells[feature->at * sums.width + sums.ones] / (n_present > 1.0 ? n_present : 1.0);
    }
    return true;
  }
  // The most frequent word, the first of several, stands for missing ones.
  i64 n_words = 0, most = first;
  for (i64 word = first; word < end; ++word) {
    const i64 at = features[7 * word], best = features[7 * most];
    n_words += cells[at * sums.width + at] > 0.0;
    if (cells[at * sums.width + at] > cells[best * sums.width + best]) most = word;
  }
  feature->fill = 1.0;
  if (index != most) feature->hole = -1;
  return n_words > 1 && cells[feature->at * sums.width + feature->at] > 0.0;
}

// Whether a word is in fewer rows than another.
DEVICE bool is_rarer(const Sums& sums, const Feature& one, const Feature& other) {
  return sums.cells[one.at * (sums.width + 1)] < sums.cells[other.at * (sums.width + 1)];
}

// Where a feature is zero and by what it is multiplied; false where digits are lost.
DEVICE bool set(const Sums& sums, i64 form, const i64* own, Feature* feature) {
  const double n = total_of(sums), mean = with(sums, *feature, sums.ones) / n;
  const double squares = between(sums, *feature, *feature) - n * mean * mean;
  feature->zero = form != 0 ? mean : __longlong_as_double(own[4]);
  feature->factor = form & IS_STANDARD ? 1.0 / sqrt(squares / n) : __longlong_as_double(own[5]);
  return !is_lost(squares, before(sums, *feature));
}

extern "C" __global__ void __launch_bounds__(128) split(const SplitArguments a) {
  SHARED(room);
  const i64* const own = a.splits + 6 * (i64)blockIdx.x;
  const i64* const entity = a.entities + 6 * own[0];
  const i64 width = entity[1], n_possible = entity[5], t = threadIdx.x;
  const i64* const possible = a.features + 7 * entity[4];
  const double* const classes = a.sums + entity[0];
  double* const cells = (double*)room;
  Feature* const features = (Feature*)(cells + width * width);
  const Sums sums = {cells, width, entity[2] + 1};
  double* const head = a.systems + own[3];
  __shared__ i64 n_features;
  __shared__ int n_lost;

  gather(cells, classes, width, (u64)own[1]);
  __syncthreads();
  if (t == 0) {
    n_features = 0;
    n_lost = 0;
    i64 first = 0;
    for (i64 index = 0; index < n_possible; ++index) {
      // A column of numbers, or the first word of another.
      if (possible[7 * index + 2] < 0 || possible[7 * index + 2] == index) first = n_features;
      Feature feature;
      if (!is_feature(sums, possible, index, own[4], &feature)) continue;
      if (!set(sums, own[5], possible + 7 * index, &feature)) n_lost = 1;
      // The words of a column stand in the CPU's order, the most frequent first: where they add up
      // to one, the order decides which of them have a weight.
      i64 place = n_features++;
      for (; place > first && is_rarer(sums, features[place - 1], feature); --place)
        features[place] = features[place - 1];
      features[place] = feature;
    }
  }
  __syncthreads();
  const i64 n = n_features;
  const double total = total_of(sums);
  Feature y = {entity[2], -1, 0.0, -__longlong_as_double(entity[3]), 1.0};
  if (own[5] & HAS_INTERCEPT) y.zero = with(sums, y, sums.ones) / total;
  const double squares = centred(sums, y, y);
  const bool is_sound = n_lost == 0 && total > 0.0 && (double)n <= total &&
                        !is_lost(squares, before(sums, y) + total * y.zero * y.zero);
  double* const moments = head + HEAD;
  double* const moments_ahead = moments + n_possible;
  double* const gram = moments_ahead + n_possible;
  double* const gram_ahead = gram + n_possible * n_possible;
  for (i64 i = t; i < n; i += blockDim.x) moments[i] = centred(sums, features[i], y);
  for (i64 at = t; at < n * n; at += blockDim.x) {
    const i64 i = at / n, j = at % n;
    gram[at] = centred(sums, features[i > j ? i : j], features[i > j ? j : i]);
  }
  __syncthreads();
  gather(cells, classes, width, (u64)own[2]);
  __syncthreads();
  for (i64 i = t; i < n; i += blockDim.x) moments_ahead[i] = centred(sums, features[i], y);
  for (i64 at = t; at < n * n; at += blockDim.x) {
    const i64 i = at / n, j = at % n;
    gram_ahead[at] = centred(sums, features[i > j ? i : j], features[i > j ? j : i]);
  }
  if (t == 0) {
    head[N_FEATURES] = (double)n;
    head[IS_SOUND] = is_sound ? 1.0 : 0.0;
    head[TOTAL] = total;
    head[SQUARES] = squares;
    head[SQUARES_AHEAD] = centred(sums, y, y);
    head[SIZE_AHEAD] = before(sums, y) + total_of(sums) * y.zero * y.zero;
  }
}

KERNEL(split, SplitArguments)
