// The fourth part: histograms of a level, and the best split of each node.
// The histograms of a level: a word's sum for each bin, not yet running.
DEVICE void fill(const Task& k, const Own& own, Tree& tree, int side) {
  Growing& growing = tree.growing;
  const int n_level = tree.n_level[side];
  const i64 n_bins = k.n_bins;
  for (int j = 0; j < n_level; ++j) {
    if (!growing.is_built[side][j]) continue;
    Bits* bins = own.bins + growing.slot[side][j] * n_bins;
    for (i64 b = threadIdx.x; b < n_bins; b += THREADS) bins[b] = 0;
  }
  for (int j = threadIdx.x; j < n_level; j += THREADS) growing.best[j] = 0;
  __syncthreads();
  // A warp a row, a lane a column: every lane's column stays the same.
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  for (i64 f0 = 0; f0 < k.n_columns; f0 += 32) {
    const i64 f = f0 + lane;
    const bool is_mine = f < k.n_columns && own.chosen[f];
    const i64 offset = is_mine ? own.columns[f].first_bin : 0;
    for (i64 i = warp; i < k.n_rows; i += N_WARPS) {
      if (!own.drawn[i] || !is_mine) continue;
      const int j = growing.place[own.nodes[i]];
      if (j < 0 || !growing.is_built[side][j]) continue;
      const Bits word = own.words[i];
      const i64 bin = offset + own.codes[i * k.n_columns + f];
      add_word(&own.bins[growing.slot[side][j] * n_bins + bin], word);
    }
  }
  __syncthreads();
  for (int j = 0; j < n_level; ++j) {
    // The larger child's, in its parent's place.
    if (growing.is_built[side][j] || !tree.is_open[growing.level[side][j]]) continue;
    Bits* bins = own.bins + growing.slot[side][j] * n_bins;
    const Bits* less = own.bins + growing.slot[side][j ^ 1] * n_bins;
    for (i64 b = threadIdx.x; b < n_bins; b += THREADS) bins[b] -= less[b];
  }
  __syncthreads();
}

// A node's sums as the loop over bins needs them: boost/split.rs's Scan.
struct Scan {
  float lambda, both, centre, min_curvature, max_curvature, min_count, max_count, alpha, gradient;
};

// boost/split.rs: the least curvature of a child. Where all rows curve alike it is no share.
DEVICE double least_curvature(const Task& k, const Terms& terms, Bits all) {
#if WIDE
  if (k.loss == POISSON || k.loss == TWEEDIE) {
    const double rows = (double)k.min_child_samples - 0.5;
    const double least = ceil(rows * (double)curvature_of(all, k) / (double)count_of(all, k));
    return least > terms.min_curvature ? least : terms.min_curvature;
  }
#else
  (void)k;
  (void)all;
#endif
  return terms.min_curvature;
}

DEVICE Scan scan_of(const Task& k, const Terms& terms, Bits all) {
  const double min_curvature = least_curvature(k, terms, all);
  const double g = gradient_of(all, k), h = curvature_of(all, k), count = count_of(all, k);
  const double both = h + 2.0 * terms.lambda;
  Scan scan;
  scan.lambda = (float)terms.lambda;
  scan.both = (float)both;
  scan.centre = (float)(g / both);
  scan.min_curvature = (float)min_curvature;
  scan.max_curvature = (float)(h - min_curvature);
  scan.min_count = (float)terms.min_count;
  scan.max_count = (float)(count - terms.min_count);
  scan.alpha = (float)terms.alpha;
  scan.gradient = (float)g;
  return scan;
}

DEVICE float pulled(float g, float alpha) {
  const float low = g - alpha, high = g + alpha;
  return (low > 0.0f ? low : 0.0f) + (high < 0.0f ? high : 0.0f);
}

// What a split is worth, greater for the earlier of equal ones; 0: nothing.
DEVICE u64 worth(const Task& k, const Scan& scan, bool has_alpha, bool is_counted, Bits left,
                 u32 place) {
  const float g = (float)gradient_of(left, k), h = (float)curvature_of(left, k);
  if (!(h >= scan.min_curvature && h <= scan.max_curvature)) return 0;
  if (is_counted) {
    const float count = (float)count_of(left, k);
    if (!(count >= scan.min_count && count <= scan.max_count)) return 0;
  }
  const float a = h + scan.lambda, b = scan.both - a;
  float value;
  if (has_alpha) {
    const float one = pulled(g, scan.alpha), two = pulled(scan.gradient - g, scan.alpha);
    value = one * one / a + two * two / b;
    if (!(value >= 0.0f)) return 0;
  } else {
    const float apart = g - scan.centre * a;
    value = apart * apart / (a * b);
    if (!(value > 0.0f)) return 0;
  }
  return (u64)__float_as_uint(value) << 32 | (u64)(0xffffffffu - place);
}

// Where a bin stands in the order of the search: bin by bin, then once more with the missing rows on
// the left; column by column where only some are chosen.
DEVICE u32 place_of(const Task& k, const Column& column, bool is_all, i64 b, int moved) {
  if (is_all) return (u32)(moved * k.n_bins + column.first_bin + b);
  return (u32)(2 * column.first_bin + moved * column.n_bins + b);
}

// The best split of every open node of a level; a warp a node and column.
DEVICE void search(const Task& k, const Own& own, Tree& tree, const Terms& terms, int side) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  Growing& growing = tree.growing;
  const int n_level = tree.n_level[side];
  const bool has_alpha = terms.alpha > 0.0, is_counted = terms.min_count > 0.0;
  const bool is_all = k.has_all_columns;
  for (i64 pair = warp; pair < n_level * k.n_columns; pair += N_WARPS) {
    const int j = (int)(pair / k.n_columns);
    const i64 f = pair - j * k.n_columns;
    const int node = growing.level[side][j];
    if (!tree.is_open[node] || !own.chosen[f]) continue;
    const Scan scan = scan_of(k, terms, tree.total[node]);
    const Column column = own.columns[f];
    const Bits* bins = own.bins + growing.slot[side][j] * k.n_bins + column.first_bin;
    const bool is_twice = column.missing >= 0 && column.n_bins > 2;
    const Bits missing = is_twice ? bins[column.n_bins - 1] : 0;
    Bits before = 0;
    u64 best = 0;
    for (i64 b0 = 0; b0 < column.n_bins; b0 += 32) {
      const i64 b = b0 + lane;
      Bits sum = b < column.n_bins ? bins[b] : 0;
      for (int by = 1; by < 32; by <<= 1) {
        const Bits other = __shfl_up_sync(ALL, sum, by);
        if (lane >= by) sum += other;
      }
      sum += before;
      before = __shfl_sync(ALL, sum, 31);
      if (b < column.n_bins) {
        const u32 place = place_of(k, column, is_all, b, 0);
        best = max(best, worth(k, scan, has_alpha, is_counted, sum, place));
      }
      if (missing != 0 && b < column.n_bins - 2) {
        const u32 place = place_of(k, column, is_all, b, 1);
        best = max(best, worth(k, scan, has_alpha, is_counted, (Bits)(sum + missing), place));
      }
    }
    for (int by = 16; by > 0; by >>= 1) best = max(best, __shfl_xor_sync(ALL, best, by));
    if (lane == 0 && best != 0) atomicMax(&growing.best[j], best);
  }
  __syncthreads();
}

DEVICE bool allows(const Task& k, const Terms& terms, Bits left, Bits all) {
  const double h = curvature_of(left, k), all_h = curvature_of(all, k);
  const double count = count_of(left, k), all_count = count_of(all, k);
  const double min_curvature = least_curvature(k, terms, all);
  return h >= min_curvature && all_h - h >= min_curvature &&
         (terms.min_count == 0.0 ||
          (count >= terms.min_count && all_count - count >= terms.min_count));
}

DEVICE double soft(double g, double alpha) {
  const double low = g - alpha, high = g + alpha;
  return (low > 0.0 ? low : 0.0) + (high < 0.0 ? high : 0.0);
}

// What a split gains, in the units of the loss.
DEVICE double gain_of(const Task& k, const Terms& terms, Bits left, Bits all) {
  const double g = gradient_of(left, k), h = curvature_of(left, k);
  const double all_g = gradient_of(all, k), all_h = curvature_of(all, k);
  const double lambda = terms.lambda;
  double gain;
  if (terms.alpha > 0.0) {
    const double one = soft(g, terms.alpha), two = soft(all_g - g, terms.alpha);
    const double both = soft(all_g, terms.alpha);
    gain = one * one / (h + lambda) + two * two / (all_h - h + lambda) -
           both * both / (all_h + lambda);
  } else {
    const i64 whole = (i64)gradient_of(left, k) * (i64)curvature_of(all, k) -
                      (i64)gradient_of(all, k) * (i64)curvature_of(left, k);
    const double apart = (double)whole + lambda * (2.0 * g - all_g);
    const double both = all_h + 2.0 * lambda;
    const double parted = apart / both * (apart / ((h + lambda) * (all_h - h + lambda)));
    const double constant =
        lambda == 0.0 ? 0.0 : all_g * all_g * (1.0 / both - 1.0 / (all_h + lambda));
    gain = parted + constant;
  }
  const double unit = terms.gradient_scale;
  return gain * (terms.curvature_scale / unit / unit);
}

// Turns the best of every open node into a split, if it is worth one; a warp a node.
DEVICE void choose(const Task& k, const Own& own, Tree& tree, const Terms& terms, int side) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  Growing& growing = tree.growing;
  const int n_level = tree.n_level[side];
  const bool is_all = k.has_all_columns;
  for (int j = warp; j < n_level; j += N_WARPS) {
    const int node = growing.level[side][j];
    const u64 best = growing.best[j];
    if (!tree.is_open[node] || best == 0) continue;
    const i64 place = (i64)(0xffffffffu - (u32)best);
    const i64 near = is_all ? place % k.n_bins : place >> 1;
    i64 f = 0;
    for (i64 high = k.n_columns; high - f > 1;) {
      const i64 middle = (f + high) / 2;
      if (own.columns[middle].first_bin <= near) f = middle;
      else high = middle;
    }
    const Column column = own.columns[f];
    const i64 within = is_all ? place : place - 2 * column.first_bin;
    const bool is_moved = within >= (is_all ? k.n_bins : column.n_bins);
    const i64 last =
        is_all ? near - column.first_bin : within - (is_moved ? column.n_bins : 0);
    const Bits* bins = own.bins + growing.slot[side][j] * k.n_bins + column.first_bin;
    Bits left = 0;
    for (i64 b = lane; b <= last; b += 32) left += bins[b];
    for (int by = 16; by > 0; by >>= 1) left += __shfl_xor_sync(ALL, left, by);
    const Bits missing = column.missing >= 0 ? bins[column.n_bins - 1] : 0;
    if (is_moved) left += missing;
    const Bits all = tree.total[node];
    bool missing_left = is_moved;
    if (column.missing >= 0 && !is_moved)
      missing_left = missing == 0 && (i64)curvature_of(left, k) * 2 >= curvature_of(all, k);
    if (!allows(k, terms, left, all)) left = 0;
    const double gain = gain_of(k, terms, left, all);
    const bool is_finite = gain <= GREATEST;
    if (!(is_finite && gain > 0.0 && left != 0 && gain > k.min_split_gain)) continue;
    if (lane != 0) continue;
    tree.column[node] = (short)f;
    tree.last[node] = (u8)last;
    tree.missing_left[node] = missing_left;
    growing.gain[node] = gain;
    growing.left[j] = left;
    atomicAdd(&tree.n_splits, 1);
  }
  __syncthreads();
}

// Keeps the splits that growing best-first would make so far: boost/grow.rs's order. One warp.
APART void prune(const Task& k, Tree& tree) {
  Growing& growing = tree.growing;
  const int lane = threadIdx.x;
  for (int node = lane; node < N_NODES; node += 32) growing.is_kept[node] = 0;
  for (int pair = lane; pair < N_PAIRS; pair += 32) tree.is_live[pair] = 0;
  if (lane == 0) {
    growing.waiting[0] = 0;
    growing.number[0] = 0;
  }
  __syncwarp();
  int n_waiting = 1, n_splits = 0;
  for (; n_splits + 1 < k.max_leaves && n_waiting > 0; ++n_splits) {
    // The greatest gain, and the earliest number of equal ones. All gains are above 0, where the
    // order of numbers is that of their bits.
    u64 best = 0;
    int number = N_NODES, at = 0;
    for (int w = lane; w < n_waiting; w += 32) {
      const int node = growing.waiting[w];
      const u64 gain = (u64)__double_as_longlong(growing.gain[node]);
      const int own = growing.number[node];
      if (gain < best || (gain == best && own >= number)) continue;
      best = gain;
      number = own;
      at = w;
    }
    for (int by = 16; by > 0; by >>= 1) {
      const u64 gain = __shfl_xor_sync(ALL, best, by);
      const int other = __shfl_xor_sync(ALL, number, by), place = __shfl_xor_sync(ALL, at, by);
      if (gain < best || (gain == best && other >= number)) continue;
      best = gain;
      number = other;
      at = place;
    }
    const int node = growing.waiting[at], pair = tree.pair[node];
    const int newest = growing.waiting[--n_waiting];
    const bool left_waits = pair >= 0 && tree.column[2 * pair + 1] >= 0;
    const bool right_waits = pair >= 0 && tree.column[2 * pair + 2] >= 0;
    __syncwarp();
    if (lane == 0) {
      growing.waiting[at] = (short)newest;
      growing.is_kept[node] = 1;
      if (pair >= 0) {
        tree.is_live[pair] = 1;
        growing.number[2 * pair + 1] = (short)(2 * n_splits + 1);
        growing.number[2 * pair + 2] = (short)(2 * n_splits + 2);
      }
      if (left_waits) growing.waiting[n_waiting] = (short)(2 * pair + 1);
      if (right_waits) growing.waiting[n_waiting + left_waits] = (short)(2 * pair + 2);
    }
    n_waiting += (int)left_waits + (int)right_waits;
    __syncwarp();
  }
  for (int node = lane; node < N_NODES; node += 32)
    if (!growing.is_kept[node]) tree.column[node] = -1;
  if (lane == 0) tree.n_splits = n_splits;
}

// Sends rows back to the topmost of the leaves that they were in.
DEVICE void send_back(const Task& k, const Own& own, const Tree& tree) {
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    int leaf = own.nodes[i];
    for (int node = leaf; node > 0;) {
      node = tree.parent[(node - 1) / 2];
      if (tree.column[node] < 0) leaf = node;
    }
    own.nodes[i] = (unsigned short)leaf;
  }
}

// Lists what is not used of so many things; how many those are. One warp.
DEVICE int list_unused(const u8* is_used, int n, short* unused) {
  const int lane = threadIdx.x;
  int n_unused = 0;
  for (int i = lane; i - lane < n; i += 32) {
    const bool is_unused = i < n && !is_used[i];
    const u32 votes = __ballot_sync(ALL, is_unused);
    if (is_unused) unused[n_unused + __popc(votes & ((1u << lane) - 1u))] = (short)i;
    n_unused += __popc(votes);
  }
  __syncwarp();
  return n_unused;
}

// Gives the nodes that were split their children, and makes the next level of those that may be
// split. One warp.
APART void descend(const Task& k, Tree& tree, int side, bool goes_on) {
  Growing& growing = tree.growing;
  const int lane = threadIdx.x, next = side ^ 1, n_level = tree.n_level[side];
  for (int j = lane; j < n_level; j += 32) growing.place[growing.level[side][j]] = -1;
  for (int slot = lane; slot < LEAVES; slot += 32) growing.is_used[slot] = 0;
  list_unused(tree.is_live, N_PAIRS, growing.unused);
  int n_made = 0, n_open = 0;
  for (int j = lane; j - lane < n_level; j += 32) {
    const int node = j < n_level ? growing.level[side][j] : 0;
    const bool is_split = j < n_level && tree.column[node] >= 0;
    const u32 before = (1u << lane) - 1u, splits = __ballot_sync(ALL, is_split);
    int pair = 0, small = 0;
    bool opens = false;
    if (is_split) {
      pair = growing.unused[n_made + __popc(splits & before)];
      const Bits left = growing.left[j], right = tree.total[node] - left;
      const i64 n_left = rows_of(left, k), n_right = rows_of(right, k);
      tree.pair[node] = (short)pair;
      tree.parent[pair] = (short)node;
      tree.is_live[pair] = 1;
      for (int child = 2 * pair + 1; child <= 2 * pair + 2; ++child) {
        tree.column[child] = -1;
        tree.pair[child] = -1;
      }
      tree.total[2 * pair + 1] = left;
      tree.total[2 * pair + 2] = right;
      tree.is_open[2 * pair + 1] = goes_on && n_left >= 2 * k.min_child_samples;
      tree.is_open[2 * pair + 2] = goes_on && n_right >= 2 * k.min_child_samples;
      opens = tree.is_open[2 * pair + 1] || tree.is_open[2 * pair + 2];
      small = n_left * 2 <= n_left + n_right ? 0 : 1;
    }
    const u32 opened = __ballot_sync(ALL, opens);
    if (opens) {
      const int first = 2 * (n_open + __popc(opened & before));
      for (int own = 0; own < 2; ++own) {
        growing.level[next][first + own] = (short)(2 * pair + 1 + own);
        growing.place[2 * pair + 1 + own] = (short)(first + own);
        growing.is_built[next][first + own] = own == small;
      }
      const short slot = growing.slot[side][j];
      growing.slot[next][first + (small ^ 1)] = slot;
      growing.is_used[slot] = 1;
    }
    n_made += __popc(splits);
    n_open += __popc(opened);
  }
  __syncwarp();
  list_unused(growing.is_used, (int)k.n_slots, growing.unused);
  for (int j = lane; j < 2 * n_open; j += 32)
    if (growing.is_built[next][j]) growing.slot[next][j] = growing.unused[j / 2];
  if (lane == 0) tree.n_level[next] = 2 * n_open;
}

// Sends rows to the children of their nodes.
DEVICE void part(const Task& k, const Own& own, const Tree& tree) {
  for (i64 i = threadIdx.x; i < k.n_rows; i += THREADS) {
    const int node = own.nodes[i];
    if (own.roles[i] == 0 || tree.column[node] < 0) continue;
    const int f = tree.column[node];
    const int code = own.codes[i * k.n_columns + f];
    const bool is_left = code <= tree.last[node] ||
                         (tree.missing_left[node] && code == own.columns[f].missing);
    own.nodes[i] = (unsigned short)(2 * tree.pair[node] + (is_left ? 1 : 2));
  }
}
