// The last part: a tree, a fit, and the kernel.
// Grows one tree and adds it to the scores; whether it has a split.
DEVICE bool grow(const Task& k, const Own& own, Meeting& meeting, Tree& tree, i64 c) {
  Terms terms;
  if (!prepare(k, own, meeting, tree, c, terms)) return false;
  for (i64 depth = 0; depth < k.max_depth; ++depth) {
    const int side = (int)(depth & 1);
    if (tree.n_level[side] == 0) break;
    fill(k, own, tree, side);
    search(k, own, tree, terms, side);
    choose(k, own, tree, terms, side);
    const bool has_too_many = tree.n_splits + 1 > k.max_leaves;
    __syncthreads();
    if (has_too_many) {
      if (threadIdx.x < 32) prune(k, tree);
      __syncthreads();
      send_back(k, own, tree);
      __syncthreads();
    }
    if (threadIdx.x < 32) descend(k, tree, side, depth + 1 < k.max_depth);
    __syncthreads();
    part(k, own, tree);
  }
  __syncthreads();
  if (tree.n_splits == 0) return false;
  say(k, own, tree, terms, c);
  return true;
}

DEVICE void tell(const BoostArguments& a, const Task& k, const Own& own, i64 mark) {
  double* out = a.out + k.out + mark * k.n_watched * k.n_scores;
  for (i64 e = threadIdx.x; e < k.n_watched * k.n_scores; e += THREADS) {
    const i64 w = e / k.n_scores, c = e - w * k.n_scores;
    out[e] = own.scores[c * k.n_rows + a.watched[k.watched + w]];
  }
}

DEVICE Own lay_out(const BoostArguments& a, const Task& k, u8* shared) {
  Own own;
  own.codes = a.codes + k.codes;
  own.columns = a.columns + k.columns;
  own.targets = a.targets + k.targets;
  own.weights = k.weights < 0 ? nullptr : a.weights + k.weights;
  own.roles = a.roles + k.roles;
  u8* rest = a.scratch + (i64)blockIdx.x * a.scratch_bytes;
  const i64 n = k.n_rows;
  own.scores = (double*)cut(rest, 8 * n * k.n_scores);
  own.shares = (double*)cut(rest, k.n_scores > 1 ? 8 * n * k.n_scores : 0);
  own.slopes = (double*)cut(rest, 8 * n);
  own.curves = (double*)cut(rest, 8 * n);
  own.drawn = cut(rest, n);
  own.chosen = cut(rest, k.n_columns);
  // What is used most is shared, as far as there is room.
  const i64 bins_bytes = (i64)sizeof(Bits) * k.n_bins * k.n_slots;
  u8* quick = shared;
  i64 n_left = a.shared_bytes;
  const bool has_bins = bins_bytes <= n_left;
  own.bins = (Bits*)cut(has_bins ? quick : rest, bins_bytes);
  n_left = a.shared_bytes - (i64)(quick - shared);
  const i64 rows_bytes = ((i64)sizeof(Bits) * n + 7) / 8 * 8 + (2 * n + 7) / 8 * 8;
  const bool has_rows = rows_bytes <= n_left;
  own.words = (Bits*)cut(has_rows ? quick : rest, (i64)sizeof(Bits) * n);
  own.nodes = (unsigned short*)cut(has_rows ? quick : rest, 2 * n);
  return own;
}

DEVICE void fit(const BoostArguments& a, const Task& k, const Own& own, Meeting& meeting,
                Tree& tree) {
  const i64 n = k.n_rows;
  const bool draws_rows = k.n_drawn_rows < k.n_learnt;
  const bool draws_columns = !k.has_all_columns;
  for (i64 i = threadIdx.x; i < n; i += THREADS) {
    own.drawn[i] = own.roles[i] & 1;
    for (i64 c = 0; c < k.n_scores; ++c) own.scores[c * n + i] = a.initial[k.initial + c];
  }
  for (i64 f = threadIdx.x; f < k.n_columns; f += THREADS) own.chosen[f] = 1;
  __syncthreads();
  i64 mark = 0;
  for (i64 round = 0; round < k.n_rounds && mark < k.n_marks; ++round) {
    if (draws_rows && threadIdx.x == 0)
      draw(own.drawn, own.roles, n, k.n_learnt, k.n_drawn_rows,
           mix_of((u64)k.seed, (u64)round, 0));
    if (k.loss == SOFTMAX) share_out(k, own);
    __syncthreads();
    bool has_grown = false;
    for (i64 c = 0; c < k.n_scores; ++c) {
      if (draws_columns && threadIdx.x == 0)
        draw(own.chosen, nullptr, k.n_columns, k.n_columns, k.n_drawn_columns,
             mix_of((u64)k.seed, (u64)(round * k.n_scores + c), 1));
      __syncthreads();
      has_grown |= grow(k, own, meeting, tree, c);
    }
    // The next round would see the same.
    if (!has_grown && !k.is_sampled) break;
    for (; mark < k.n_marks && a.marks[k.marks + mark] == round + 1; ++mark) tell(a, k, own, mark);
  }
  for (; mark < k.n_marks; ++mark) tell(a, k, own, mark);
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS) boost(const BoostArguments a) {
  SHARED(shared);
  __shared__ Tree tree;
  __shared__ Meeting meeting;
  __shared__ i64 next;
  for (;;) {
    if (threadIdx.x == 0) next = atomicAdd(a.next, 1);
    __syncthreads();
    const i64 index = next;
    __syncthreads();
    if (index >= a.n_tasks) return;
    const Task& k = a.tasks[index];
    fit(a, k, lay_out(a, k, shared), meeting, tree);
  }
}
KERNEL(boost, BoostArguments)
