// The third part: a tree, and the kernel.
// Draws the tree's rows; how many different ones there are.
DEVICE i64 draw(const ForestArguments& a, const Task& k, const Own& own, Stream& stream) {
  const i32* all = a.rows + k.rows;
  const int lane = lane_of();
  for (i64 i = lane; i < k.n_rows; i += 32) own.draws[i] = 0;
  for (i64 f = lane; f < k.n_columns; f += 32) own.features[f] = (u16)f;
  __syncwarp();
  if (k.n_drawn < 0) {
    for (i64 i = lane; i < k.n_learnt; i += 32) {
      own.rows[i] = (u16)all[i];
      own.draws[all[i]] = 1;
    }
    __syncwarp();
    return k.n_learnt;
  }
  for (i64 d = 0; d < k.n_drawn; ++d) {
    const i64 row = all[below(stream, k.n_learnt)];
    if (lane == 0) own.draws[row] += 1;
  }
  __syncwarp();
  i64 n = 0;
  for (i64 i0 = 0; i0 < k.n_learnt; i0 += 32) {
    const i64 i = i0 + lane;
    const bool is_drawn = i < k.n_learnt && own.draws[all[i]] > 0;
    const u32 votes = __ballot_sync(ALL, is_drawn);
    if (is_drawn) own.rows[n + __popc(votes & before_me())] = (u16)all[i];
    n += __popc(votes);
  }
  __syncwarp();
  return n;
}

DEVICE bool is_leaf(const ForestArguments& a, const Task& k, const Own& own, i64 start, i64 end,
                    i64 depth) {
  const i64 n = end - start;
  if (depth >= k.max_depth || n < k.min_split || n < 2 * k.min_leaf) return true;
  const double* targets = a.targets + k.targets;
  const double first = targets[own.rows[start]];
  bool differs = false;
  for (i64 i = start + lane_of(); i < end; i += 32) differs |= targets[own.rows[i]] != first;
  return !__any_sync(ALL, differs);
}

// Puts the rows that go left first; how many they are. Both sides keep their order.
DEVICE i64 part(const ForestArguments& a, const Task& k, const Own& own, i64 start, i64 end,
                const Best& best) {
  const Column& column = a.columns[k.columns + best.column];
  const u8* codes = a.codes + column.codes;
  i64 n_left = 0, n_right = 0;
  for (i64 i0 = start; i0 < end; i0 += 32) {
    const i64 i = i0 + lane_of();
    const bool is_there = i < end;
    const u16 row = is_there ? own.rows[i] : 0;
    const bool is_left =
        is_there && goes_left(codes[row], best.last, best.missing_left, column.n_values);
    const u32 left = __ballot_sync(ALL, is_left), right = __ballot_sync(ALL, is_there && !is_left);
    if (is_left) own.rows[start + n_left + __popc(left & before_me())] = row;
    if (is_there && !is_left) own.spare[n_right + __popc(right & before_me())] = row;
    n_left += __popc(left);
    n_right += __popc(right);
    __syncwarp();
  }
  for (i64 i = lane_of(); i < n_right; i += 32) own.rows[start + n_left + i] = own.spare[i];
  __syncwarp();
  return n_left;
}

// Grows the tree's nodes and says how many leaves it has.
DEVICE i64 grow(const ForestArguments& a, const Task& k, const Own& own, Stream& stream) {
  const bool is_first = lane_of() == 0;
  const i64 n = draw(a, k, own, stream);
  const double whole = open(a, k, own, 0, n).weight;
  i64 n_nodes = 0, n_leaves = 0, n_pending = 1;
  const bool is_bare = is_leaf(a, k, own, 0, n, 0);
  if (is_first) own.pending[0] = Pending{0, (i32)n, 0, -1, is_bare};
  __syncwarp();
  while (n_pending > 0) {
    const Pending node = own.pending[--n_pending];
    const i64 number = n_nodes++;
    if (is_first && node.parent >= 0) own.nodes[node.parent].right = (i32)number;
    Best best;
    bool is_split = false;
    if (!node.is_leaf) {
      const Here here = open(a, k, own, node.start, node.end);
      is_split = split(a, k, own, here, whole, stream, best);
    }
    if (!is_split) {
      if (is_first) {
        own.nodes[number] = Node{-1, (i32)n_leaves, 0, 0};
        own.bounds[n_leaves] = Bounds{node.start, node.end};
      }
      n_leaves += 1;
      __syncwarp();
      continue;
    }
    const i32 middle = node.start + (i32)part(a, k, own, node.start, node.end, best);
    const i32 depth = node.depth + 1;
    const bool left = is_leaf(a, k, own, node.start, middle, depth);
    const bool right = is_leaf(a, k, own, middle, node.end, depth);
    if (is_first) {
      own.nodes[number] = Node{(i32)best.column, best.last, 0, best.missing_left};
      own.pending[n_pending] = Pending{middle, node.end, depth, (i32)number, right};
      own.pending[n_pending + 1] = Pending{node.start, middle, depth, -1, left};
    }
    n_pending += 2;
    __syncwarp();
  }
  return n_leaves;
}

// What leaves say: the mean of their rows, or the shares of their classes. A lane a leaf.
DEVICE void say(const ForestArguments& a, const Task& k, const Own& own, i64 n_leaves) {
  const double* targets = a.targets + k.targets;
  for (i64 leaf = lane_of(); leaf < n_leaves; leaf += 32) {
    const Bounds bounds = own.bounds[leaf];
    double* values = own.values + leaf * k.width;
    const double first = targets[own.rows[bounds.start]];
    double sum = 0.0, total = 0.0;
    for (i64 c = 0; c < k.width; ++c) values[c] = 0.0;
    for (i64 i = bounds.start; i < bounds.end; ++i) {
      const i64 row = own.rows[i];
      const double one = k.weights < 0 ? 1.0 : a.weights[k.weights + row];
      const double weight = one * (double)own.draws[row];
      if (k.width > 1) {
        values[(i64)targets[row]] += weight;
      } else {
        sum += weight * (targets[row] - first);
        total += weight;
      }
    }
    if (k.width == 1) {
      values[0] = first + sum / total;
      continue;
    }
    for (i64 c = 0; c < k.width; ++c) total += values[c];
    for (i64 c = 0; c < k.width; ++c) values[c] /= total;
  }
  __syncwarp();
}

// Tells the leaves of the watched rows.
DEVICE void tell(const ForestArguments& a, const Task& k, const Own& own, double* leaves) {
  for (i64 w = lane_of(); w < k.n_watched; w += 32) {
    const i64 row = a.rows[k.watched + w];
    double* out = leaves + w * k.width;
    if (k.is_out_of_bag && own.draws[row] > 0) {
      for (i64 c = 0; c < k.width; ++c) out[c] = __longlong_as_double(SEEN);
      continue;
    }
    i64 at = 0;
    while (own.nodes[at].column >= 0) {
      const Node node = own.nodes[at];
      const Column& column = a.columns[k.columns + node.column];
      const int code = a.codes[column.codes + row];
      at = goes_left(code, node.value, node.missing_left, column.n_values) ? at + 1 : node.right;
    }
    const double* values = own.values + (i64)own.nodes[at].value * k.width;
    for (i64 c = 0; c < k.width; ++c) out[c] = values[c];
  }
  __syncwarp();
}

extern "C" __global__ void __launch_bounds__(32) forest(const ForestArguments a) {
  SHARED(shared);
  for (;;) {
    i32 index = 0;
    if (lane_of() == 0) index = atomicAdd(a.next, 1);
    index = __shfl_sync(ALL, index, 0);
    if (index >= a.n_sprouts) return;
    const Sprout sprout = a.sprouts[index];
    const Task& k = a.tasks[sprout.task];
    const Own own = lay_out(a, k, shared);
    Stream stream = {sprout.low, sprout.high};
    say(a, k, own, grow(a, k, own, stream));
    tell(a, k, own, a.leaves + k.leaves + sprout.number * k.n_watched * k.width);
  }
}
KERNEL(forest, ForestArguments)
