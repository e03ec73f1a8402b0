// The fifth part: what leaves say.
// Steps down the loss.
DEVICE void step(const Task& k, const Own& own, Tree& tree, const Terms& terms) {
  for (int node = threadIdx.x; node < N_NODES; node += THREADS) {
    tree.saying.slope[node] = 0;
    tree.saying.curve[node] = 0;
  }
  __syncthreads();
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    if (!own.drawn[i]) continue;
    add_wide(&tree.saying.slope[own.nodes[i]], (u64)whole_of(own.slopes[i], terms.slope_unit));
    if (!k.is_flat)
      add_wide(&tree.saying.curve[own.nodes[i]], (u64)whole_of(own.curves[i], terms.curve_unit));
  }
  __syncthreads();
  for (int node = threadIdx.x; node < N_NODES; node += THREADS) {
    const double slope = soft(number_of((i64)tree.saying.slope[node], terms.slope_unit), k.alpha);
    const double curve = k.is_flat ? (double)rows_of(tree.total[node], k)
                                   : number_of((i64)tree.saying.curve[node], terms.curve_unit);
    const double value = -slope / (curve + k.lambda) * k.learning_rate;
    tree.saying.value[node] = fabs(value) <= GREATEST ? value : 0.0;
  }
  __syncthreads();
}

// A number whose order as a whole one is that of the floating one: Rust's total_cmp.
DEVICE i64 order_of(double number) {
  const i64 bits = __double_as_longlong(number);
  return bits ^ (i64)((u64)(bits >> 63) >> 1);
}

// Whether one row comes before another: by leaf, residual, and weight; those that were not drawn,
// which are none, come last.
DEVICE bool comes_before(const Own& own, i64 n, u32 one, u32 other) {
  if (one >= n || other >= n) return one < n && other >= n;
  if (own.nodes[one] != own.nodes[other]) return own.nodes[one] < own.nodes[other];
  const i64 a = order_of(own.slopes[one]), b = order_of(own.slopes[other]);
  if (a != b || !own.weights) return a < b;
  return order_of(own.weights[one]) < order_of(own.weights[other]);
}

// The quantile of the residuals of some rows in order: boost/loss.rs's.
DEVICE double quantile_of(const Own& own, const u32* rows, i64 n, double level) {
  bool is_even = true;
  if (own.weights)
    for (i64 i = 1; i < n; ++i) is_even &= own.weights[rows[i]] == own.weights[rows[0]];
  if (is_even) {
    const double place = level * (double)(n - 1);
    const i64 low = min((i64)place, n - 1), high = min(low + 1, n - 1);
    const double share = place - (double)low;
    return own.slopes[rows[low]] * (1.0 - share) + own.slopes[rows[high]] * share;
  }
  double total = 0.0, below = 0.0;
  for (i64 i = 0; i < n; ++i) total += own.weights[rows[i]];
  for (i64 i = 0; i < n; ++i) {
    below += own.weights[rows[i]];
    if (below >= level * total) return own.slopes[rows[i]];
  }
  return own.slopes[rows[n - 1]];
}

// Gives leaves quantiles of their residuals, where a step would be too small. Slopes are not needed
// any more, and curvatures never were: their memory holds the residuals, and the rows in order.
DEVICE void renew(const Task& k, const Own& own, Tree& tree, i64 c) {
  const i64 n = k.n_rows;
  const double level = k.loss == ABSOLUTE ? 0.5 : k.parameter;
  u32* rows = (u32*)own.curves;
  i64 n_all = 1;
  while (n_all < n) n_all *= 2;
  __syncthreads();
  for (i64 i = threadIdx.x; i < n_all; i += THREADS) {
    rows[i] = i < n && own.drawn[i] ? (u32)i : ALL;
    if (i < n) own.slopes[i] = own.targets[i] - own.scores[c * n + i];
  }
  for (int node = threadIdx.x; node < N_NODES; node += THREADS) tree.saying.value[node] = 0.0;
  __syncthreads();
  // Batcher's bitonic sort.
  for (i64 size = 2; size <= n_all; size *= 2)
    for (i64 by = size / 2; by > 0; by /= 2) {
      for (i64 i = threadIdx.x; i < n_all; i += THREADS) {
        const i64 other = i ^ by;
        if (other < i) continue;
        const u32 a = rows[i], b = rows[other];
        const bool is_up = (i & size) == 0;
        if (is_up ? comes_before(own, n, b, a) : comes_before(own, n, a, b)) {
          rows[i] = b;
          rows[other] = a;
        }
      }
      __syncthreads();
    }
  for (i64 i = threadIdx.x; i < n_all; i += THREADS) {
    if (rows[i] >= n) continue;
    const int leaf = own.nodes[rows[i]];
    if (i > 0 && own.nodes[rows[i - 1]] == leaf) continue;
    i64 end = i + 1;
    while (end < n_all && rows[end] < n && own.nodes[rows[end]] == leaf) ++end;
    const double value = k.learning_rate * quantile_of(own, rows + i, end - i, level);
    tree.saying.value[leaf] = fabs(value) <= GREATEST ? value : 0.0;
  }
  __syncthreads();
}

// Gives leaves their values, and adds them to the scores of all rows.
DEVICE void say(const Task& k, const Own& own, Tree& tree, const Terms& terms, i64 c) {
  if (k.loss == ABSOLUTE || k.loss == QUANTILE)
    renew(k, own, tree, c);
  else
    step(k, own, tree, terms);
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS)
    if (own.roles[i] != 0) own.scores[c * k.n_rows + i] += tree.saying.value[own.nodes[i]];
  __syncthreads();
}
