// The second part: the best split of a node.
#if !CLASSES
DEVICE double weight_of(i64 word, const Task& k) {
  return (double)(word & ((1LL << k.weight_bits) - 1));
}

// forest/numbers.rs: how good a left side is.
DEVICE double score_of(const Task& k, const Here& here, i64 left) {
  const double sum = (double)(left >> k.weight_bits), weight = weight_of(left, k);
  const double apart = sum - here.mean * weight;
  const double under = weight * (here.weight - weight);
  return under > 0.0 ? apart * apart / under : -1.0;
}

#else
// forest/classes.rs, where counts make every sum exact.
DEVICE double score_of_counts(u64 left_squares, u64 right_squares, u64 left, u64 right) {
  return (double)left_squares / (double)left + (double)right_squares / (double)right;
}
#endif

// The best offer of all lanes: the greatest score, the lowest place of equal ones.
DEVICE void agree(double& score, i32& place) {
  for (int by = 16; by > 0; by >>= 1) {
    const double other = __shfl_xor_sync(ALL, score, by);
    const i32 there = __shfl_xor_sync(ALL, place, by);
    if (other > score || (other == score && there < place)) {
      score = other;
      place = there;
    }
  }
}

DEVICE u32 sorted(u32 key) {
  const int lane = lane_of();
  for (int size = 2; size <= 32; size <<= 1)
    for (int by = size >> 1; by > 0; by >>= 1) {
      const u32 other = __shfl_xor_sync(ALL, key, by);
      const bool keeps_low = ((lane & by) == 0) == ((lane & size) == 0);
      key = keeps_low ? min(key, other) : max(key, other);
    }
  return key;
}

// The score of this lane's cut, with the rows after the first `n_known` moved to the left or not.
DEVICE double small_score(const Task& k, const Own& own, const Here& here, i64 item, int n_known,
                          bool is_moved) {
#if CLASSES
  u64 left = 0, right = 0, left_squares = 0, right_squares = 0;
  for (i64 c = 0; c < k.width; ++c) {
    u32 count = running((item >> 32) == c ? (u32)item : 0u);
    const u32 known = __shfl_sync(ALL, count, n_known - 1);
    if (is_moved) count += own.total[c] - known;
    const u64 other = own.total[c] - count;
    left += count;
    right += other;
    left_squares += (u64)count * count;
    right_squares += other * other;
  }
  (void)here;
  return score_of_counts(left_squares, right_squares, left, right);
#else
  (void)own;
  i64 sum = running(item);
  const i64 known = __shfl_sync(ALL, sum, n_known - 1);
  if (is_moved) sum += here.total - known;
  return score_of(k, here, sum);
#endif
}

// Offers the cuts of a column to a node of up to 32 rows; whether it has several codes.
DEVICE bool try_small(const Task& k, const Own& own, const Here& here, const Column& column,
                      const u8* codes, i64 f, Best& best) {
  const int lane = lane_of(), n = (int)(here.end - here.start);
  const u32 code = lane < n ? codes[own.rows[here.start + lane]] : N_BINS;
  const u32 first = __shfl_sync(ALL, code, 0);
  if (__all_sync(ALL, lane >= n || code == first)) return false;
  const u32 key = sorted(code << 5 | (u32)lane);
  const i64 item = __shfl_sync(ALL, here.item, (int)(key & 31));
  const u32 last = key >> 5, next = __shfl_down_sync(ALL, last, 1);
  const int n_known = __popc(__ballot_sync(ALL, last < (u32)column.n_values));
  const bool parts = lane + 1 < n && last != next;
  for (int moved = 0; moved < 2; ++moved) {
    if (moved && (n_known == n || n_known < 2)) break;
    const int n_moved = moved ? n - n_known : 0, end = n - n_moved;
    const double own_score = small_score(k, own, here, item, max(n_known, 1), moved);
    const bool is_offered = parts && lane + 1 < end && lane + 1 + n_moved >= k.min_leaf &&
                            end - lane - 1 >= k.min_leaf;
    double score = is_offered && own_score >= 0.0 ? own_score : -1.0;
    i32 place = lane;
    agree(score, place);
    const u32 at = __shfl_sync(ALL, last, place), after = __shfl_sync(ALL, next, place);
    if (score > best.score) best = Best{score, f, (i32)at, (i32)after, moved != 0};
  }
  return true;
}

DEVICE bool has_rows(const Own& own, i64 bin) {
#if CLASSES
  return own.counts[bin] != 0;
#else
  return own.bins[bin] != 0;
#endif
}

// Fills the bins of a column from a node's rows; whether it has several codes.
DEVICE bool fill(const Task& k, const Own& own, const Here& here, i64 n_bins, const u8* codes) {
  const bool counts = CLASSES || k.min_leaf > 1;
  for (i64 b = lane_of(); b < n_bins; b += 32) {
    own.counts[b] = 0;
#if CLASSES
    for (i64 c = 0; c < k.width; ++c) own.lots[c * N_BINS + b] = 0;
#else
    own.bins[b] = 0;
#endif
  }
  __syncwarp();
  const int first = codes[own.rows[here.start]];
  bool varies = false;
  for (i64 i = here.start + lane_of(); i < here.end; i += 32) {
    const int code = codes[own.rows[i]];
    varies |= code != first;
    if (counts) atomicAdd(&own.counts[code], 1u);
#if CLASSES
    atomicAdd(&own.lots[(own.items[i] >> 32) * N_BINS + code], (u32)own.items[i]);
#else
    add_wide((u64*)&own.bins[code], (u64)own.items[i]);
#endif
  }
  __syncwarp();
  return __any_sync(ALL, varies);
}

// The score of this lane's cut, after a bin; below 0 before the first rows.
#if CLASSES
DEVICE double bin_score(const Task& k, const Own& own, i64 b, bool is_there, i64 missing,
                        bool is_moved) {
  u64 left = 0, right = 0, left_squares = 0, right_squares = 0;
  for (i64 c = 0; c < k.width; ++c) {
    const u32 sum = running(is_there ? own.lots[c * N_BINS + b] : 0u) + own.before[c];
    __syncwarp();
    if (lane_of() == 31) own.before[c] = sum;
    const u64 count = sum + (is_moved ? own.lots[c * N_BINS + missing] : 0u);
    const u64 other = own.total[c] - count;
    left += count;
    right += other;
    left_squares += count * count;
    right_squares += other * other;
  }
  __syncwarp();
  if (left == 0 || right == 0) return -1.0;
  return score_of_counts(left_squares, right_squares, left, right);
}
#endif

// Offers the cuts after all bins, with the missing rows moved to the left or not.
DEVICE void offer(const Task& k, const Own& own, const Here& here, i64 missing, bool is_moved, i64 f,
                  Best& best) {
  const i64 n = here.end - here.start, n_bins = is_moved ? missing : missing + 1;
  const bool counts = CLASSES || k.min_leaf > 1;
  const i64 n_moved = is_moved && counts ? own.counts[missing] : 0;
  double score = -1.0;
  i32 place = N_BINS;
#if CLASSES
  for (i64 c = lane_of(); c < k.width; c += 32) own.before[c] = 0;
  __syncwarp();
#else
  const i64 moved = is_moved ? own.bins[missing] : 0;
  i64 before = 0;
#endif
  i64 n_before = 0;
  for (i64 b0 = 0; b0 < n_bins; b0 += 32) {
    const i64 b = b0 + lane_of();
    const bool is_there = b < n_bins;
    i64 n_known = 0;
    if (counts) {
      n_known = running(is_there ? (i64)own.counts[b] : 0) + n_before;
      n_before = __shfl_sync(ALL, n_known, 31);
    }
#if CLASSES
    const double own_score = bin_score(k, own, b, is_there, missing, is_moved);
    const bool is_first = n_known > 0;
#else
    const i64 sum = running(is_there ? own.bins[b] : 0) + before;
    before = __shfl_sync(ALL, sum, 31);
    const double own_score = score_of(k, here, sum + moved);
    const bool is_first = sum != 0;
#endif
    const i64 n_left = n_known + n_moved;
    const bool is_large =
        k.min_leaf <= 1 || (n_left >= k.min_leaf && n - n_left >= k.min_leaf);
    if (is_there && is_first && is_large && own_score > score) {
      score = own_score;
      place = (i32)b;
    }
  }
  agree(score, place);
  if (!(score > best.score)) return;
  i32 next = (i32)missing;
  for (i64 b0 = place + 1; b0 <= missing; b0 += 32) {
    const i64 b = b0 + lane_of();
    const u32 votes = __ballot_sync(ALL, b <= missing && has_rows(own, b));
    if (votes == 0) continue;
    next = (i32)b0 + __ffs((int)votes) - 1;
    break;
  }
  best = Best{score, f, place, next, is_moved};
}

DEVICE bool try_bins(const Task& k, const Own& own, const Here& here, const Column& column,
                     const u8* codes, i64 f, Best& best) {
  const i64 missing = column.n_values;
  if (!fill(k, own, here, missing + 1, codes)) return false;
  offer(k, own, here, missing, false, f, best);
  if (has_rows(own, missing)) offer(k, own, here, missing, true, f, best);
  __syncwarp();
  return true;
}

// forest/grid.rs: the last code that goes left of a threshold between two codes.
DEVICE i32 cut_at(const ForestArguments& a, const Column& column, int low, int high,
                  double place) {
  const double* least = a.reals + column.least;
  const double* most = a.reals + column.most;
  const u8* guide = a.guides + column.guide;
  const double drawn = least[low] * (1.0 - place) + most[high] * place;
  const double steps = (drawn - least[0]) * column.scale;
  // As Rust turns numbers into whole ones: what is none is 0.
  const int step = steps >= 255.0 ? 255 : steps > 0.0 ? (int)steps : 0;
  const int first = min(max((int)guide[step] - 1, low), high);
  const int end = min(max((int)guide[step + 1] + 1, first), high);
  int n_below = first;
  for (int code = first; code < end; ++code) n_below += most[code] <= drawn;
  return max(n_below - 1, low);
}

DEVICE bool goes_left(int code, i32 last, bool missing_left, i64 missing) {
  return code <= last || (missing_left && code == missing);
}

// Offers one cut of a column at random; whether the node has several codes of it.
DEVICE bool try_random(const ForestArguments& a, const Task& k, const Own& own, const Here& here,
                       const Column& column, const u8* codes, i64 f, Stream& stream, Best& best) {
  const int missing = (int)column.n_values;
  int low = N_BINS, high = 0, known = 0;
  for (i64 i = here.start + lane_of(); i < here.end; i += 32) {
    const int code = codes[own.rows[i]];
    low = min(low, code);
    high = max(high, code);
    if (code != missing) known = max(known, code);
  }
  for (int by = 16; by > 0; by >>= 1) {
    low = min(low, __shfl_xor_sync(ALL, low, by));
    high = max(high, __shfl_xor_sync(ALL, high, by));
    known = max(known, __shfl_xor_sync(ALL, known, by));
  }
  if (low == high) return false;
  const bool has_missing = high == missing;
  if (has_missing) high = known;
  const i32 last = low == high ? low : cut_at(a, column, low, high, share_of(stream));
  const bool missing_left = has_missing && low < high && share_of(stream) < 0.5;
  i64 n_left = 0;
#if CLASSES
  for (i64 c = lane_of(); c < k.width; c += 32) own.before[c] = 0;
  __syncwarp();
#else
  i64 sum = 0;
#endif
  for (i64 i = here.start + lane_of(); i < here.end; i += 32) {
    if (!goes_left(codes[own.rows[i]], last, missing_left, missing)) continue;
    n_left += 1;
#if CLASSES
    atomicAdd(&own.before[own.items[i] >> 32], (u32)own.items[i]);
#else
    sum += own.items[i];
#endif
  }
  n_left = total_of(n_left);
#if CLASSES
  __syncwarp();
  u64 left = 0, right = 0, left_squares = 0, right_squares = 0;
  for (i64 c = 0; c < k.width; ++c) {
    const u64 count = own.before[c], other = own.total[c] - count;
    left += count;
    right += other;
    left_squares += count * count;
    right_squares += other * other;
  }
  __syncwarp();
  const double score = score_of_counts(left_squares, right_squares, left, right);
#else
  const double score = score_of(k, here, total_of(sum));
#endif
  const bool is_large =
      k.min_leaf <= 1 || (n_left >= k.min_leaf && here.end - here.start - n_left >= k.min_leaf);
  if (is_large && score > best.score)
    best = Best{score, f, last, low < high ? last + 1 : missing, missing_left};
  return true;
}

// Turns to a node: what its rows bring, and what they sum up to.
DEVICE Here open(const ForestArguments& a, const Task& k, const Own& own, i64 start, i64 end) {
  Here here = {start, end, 0, 0, 0.0, 0.0, 0.0};
#if CLASSES
  for (i64 c = lane_of(); c < k.width; c += 32) own.total[c] = 0;
  __syncwarp();
#endif
  for (i64 i = start + lane_of(); i < end; i += 32) {
    const i64 row = own.rows[i], draws = own.draws[row];
#if CLASSES
    const i64 item = (i64)a.targets[k.targets + row] << 32 | draws;
    atomicAdd(&own.total[item >> 32], (u32)draws);
#else
    const i64 item = (i64)((u64)a.words[k.words + row] * (u64)draws);
    here.total = (i64)((u64)here.total + (u64)item);
#endif
    own.items[i] = item;
    here.item = item;
  }
#if CLASSES
  __syncwarp();
  u64 weight = 0, squares = 0;
  for (i64 c = 0; c < k.width; ++c) {
    weight += own.total[c];
    squares += (u64)own.total[c] * own.total[c];
  }
  here.weight = (double)weight;
  here.squares = (double)squares;
#else
  here.total = (i64)total_of((u64)here.total);
  here.weight = weight_of(here.total, k);
  here.mean = (double)(here.total >> k.weight_bits) / here.weight;
#endif
  __syncwarp();
  return here;
}

// What a split lowers the node's impurity by, times the node's share of the tree's weight.
DEVICE double decrease_of(const Task& k, const Here& here, const Best& best, double whole) {
#if CLASSES
  (void)k;
  return (best.score - here.squares / here.weight) / whole;
#else
  const double squares = best.score * here.weight * k.weight_scale / (k.scale * k.scale);
  return k.disorder * squares * k.weight_scale / whole;
#endif
}

// forest/grid.rs: the code whose cut is nearest to the middle between two.
DEVICE i32 middle_of(const ForestArguments& a, const Column& column, i32 last, i32 next) {
  if (next <= last + 1) return last;
  const double middle =
      a.reals[column.most + last] / 2.0 + a.reals[column.least + next] / 2.0;
  const double* cuts = a.reals + column.cuts + last;
  const int n = next - last;
  int n_below = 0;
  for (int high = n; n_below < high;) {
    const int half = (n_below + high) / 2;
    if (cuts[half] < middle) n_below = half + 1;
    else high = half;
  }
  const int above = min(n_below, n - 1), under = max(above - 1, 0);
  return last + (middle - cuts[under] <= cuts[above] - middle ? under : above);
}

// Puts the cut where it belongs between the node's codes, and says where missing values go that the
// node does not have.
DEVICE void settle(const ForestArguments& a, const Task& k, const Own& own, const Here& here,
                   const Column& column, const u8* codes, Best& best) {
  const i32 missing = (i32)column.n_values;
  if (best.next == missing) {
    best.last = max(missing - 1, 0);
    best.missing_left = false;
    return;
  }
  if (!k.is_random) best.last = middle_of(a, column, best.last, best.next);
  i64 n_left = 0;
  bool is_missing = false;
  for (i64 i = here.start + lane_of(); i < here.end; i += 32) {
    const int code = codes[own.rows[i]];
    is_missing |= code == missing;
    n_left += code <= best.last;
  }
  n_left = total_of(n_left);
  // What is missing later goes with the many.
  if (!__any_sync(ALL, is_missing)) best.missing_left = n_left > here.end - here.start - n_left;
}

// The best split of a node; false where it is to be a leaf.
DEVICE bool split(const ForestArguments& a, const Task& k, const Own& own, const Here& here,
                  double whole, Stream& stream, Best& best) {
  const i64 n_all = k.n_columns, n = here.end - here.start;
  const bool is_sampled = k.n_features < n_all;
  const i64 first = is_sampled || !k.is_shuffled ? 0 : below(stream, n_all);
  best = Best{-1.0, 0, 0, 0, false};
  bool any_varies = false;
  for (i64 index = 0; index < n_all; ++index) {
    // Columns that are constant here count too, but one that is not is looked for on.
    if (index >= k.n_features && any_varies) break;
    i64 place = index + first;
    if (place >= n_all) place -= n_all;
    if (is_sampled) place = index + below(stream, n_all - index);
    const u16 f = own.features[place];
    if (is_sampled) {
      const u16 other = own.features[index];
      __syncwarp();
      if (lane_of() == 0) {
        own.features[place] = other;
        own.features[index] = f;
      }
      __syncwarp();
    }
    const Column& column = a.columns[k.columns + f];
    const u8* codes = a.codes + column.codes;
    if (k.is_random)
      any_varies |= try_random(a, k, own, here, column, codes, f, stream, best);
    else if (n <= 32)
      any_varies |= try_small(k, own, here, column, codes, f, best);
    else
      any_varies |= try_bins(k, own, here, column, codes, f, best);
    // Two rows part in one way.
    if (n == 2 && best.score >= 0.0) break;
  }
  if (!(best.score >= 0.0)) return false;
  if (k.min_decrease > 0.0 &&
      decrease_of(k, here, best, whole) + 2.220446049250313e-16 < k.min_decrease)
    return false;
  const Column& column = a.columns[k.columns + best.column];
  settle(a, k, own, here, column, a.codes + column.codes, best);
  return true;
}
