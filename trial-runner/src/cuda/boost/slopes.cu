// The third part: which rows and columns a tree has, their slopes, and the words of them.
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
    case ABSOLUTE: {
      const double error = score - target;
      first = error > 0.0 ? 1.0 : error < 0.0 ? -1.0 : 0.0;
      return;
    }
    case QUANTILE:
      first = score >= target ? 1.0 - k.parameter : -k.parameter;
      return;
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
#if WIDE
  // By their share of the curvature; what has some has a row.
  if (k.loss == POISSON || k.loss == TWEEDIE) terms.min_count = 0.0;
#endif
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
  Growing& growing = tree.growing;
  for (int node = threadIdx.x; node < N_NODES; node += THREADS) {
    tree.column[node] = -1;
    tree.pair[node] = -1;
    tree.is_open[node] = 0;
    tree.total[node] = 0;
    growing.place[node] = -1;
  }
  for (int pair = threadIdx.x; pair < N_PAIRS; pair += THREADS) tree.is_live[pair] = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    tree.total[0] = all;
    tree.is_open[0] = rows_of(all, k) >= 2 * k.min_child_samples;
    growing.level[0][0] = 0;
    growing.place[0] = 0;
    growing.slot[0][0] = 0;
    growing.is_built[0][0] = 1;
    tree.n_splits = 0;
    tree.n_level[0] = tree.is_open[0];
  }
  __syncthreads();
  return true;
}
