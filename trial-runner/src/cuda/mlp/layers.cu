// The second part: one batch through the layers, and back.
DEVICE float bent(const Task& k, float value) {
  if (!k.is_tanh) return value > 0.0f ? value : 0.0f;
  const double x = value, fade = exp_of(-2.0 * fabs(x));
  const double size = (1.0 - fade) / (1.0 + fade);
  return (float)(x < 0.0 ? -size : size);
}

// The sums of a layer's units for `n` rows, bent where it is hidden. A thread has TILE units of a
// row.
DEVICE void rise(const Task& k, const float* weights, i64 n_below, i64 n_units, const float* below,
                 i64 n, bool is_hidden, float* above) {
  const float* biases = weights + n_below * n_units;
  const i64 n_tiles = (n_units + TILE - 1) / TILE;
  for (i64 e = threadIdx.x; e < n_tiles * n; e += THREADS) {
    const i64 tile = e / n, row = e - tile * n, first = tile * TILE;
    i64 unit[TILE];
    float sum[TILE];
    for (int t = 0; t < TILE; ++t) {
      unit[t] = min(first + t, n_units - 1);
      sum[t] = biases[unit[t]];
    }
    for (i64 i = 0; i < n_below; ++i) {
      const float value = below[i * n + row];
      for (int t = 0; t < TILE; ++t) sum[t] += weights[i * n_units + unit[t]] * value;
    }
    for (int t = 0; t < TILE; ++t)
      if (first + t < n_units)
        above[(first + t) * n + row] = is_hidden ? bent(k, sum[t]) : sum[t];
  }
}

// What each layer says of the batch.
DEVICE void ahead(const Task& k, const Own& own, i64 n) {
  const float* weights = own.weights;
  float* below = own.values;
  for (i64 layer = 0; layer < k.n_layers; ++layer) {
    const i64 n_below = own.units[layer], n_units = own.units[layer + 1];
    float* above = below + n_below * n;
    __syncthreads();
    rise(k, weights, n_below, n_units, below, n, layer + 1 < k.n_layers, above);
    weights += (n_below + 1) * n_units;
    below = above;
  }
  __syncthreads();
}

// The last layer's sums.
DEVICE const float* last_of(const Task& k, const Own& own, i64 n) {
  const float* last = own.values;
  for (i64 layer = 0; layer < k.n_layers; ++layer) last += own.units[layer] * n;
  return last;
}

// The slopes of the loss by the last sums; none where a row only pads.
DEVICE void slope(const MlpArguments& a, const Task& k, const Own& own, i64 n_batch, i64 n) {
  const float* sums = last_of(k, own, n);
  const i64 n_units = own.units[k.n_layers];
  for (i64 place = threadIdx.x; place < n; place += THREADS) {
    if (place >= n_batch) {
      for (i64 c = 0; c < n_units; ++c) own.slopes[c * n + place] = 0.0f;
      continue;
    }
    const i64 row = own.rows[place];
    const float weight = k.weights < 0 ? 1.0f : a.reals[k.weights + row];
    const float target = a.reals[k.targets + row];
    if (k.kind == NUMBERS) {
      own.slopes[place] = weight * (sums[place] - target);
    } else if (k.kind == TWO_CLASSES) {
      const float share = (float)(1.0 / (1.0 + exp_of(-(double)sums[place])));
      own.slopes[place] = weight * (share - target);
    } else {
      double top = -__longlong_as_double(0x7ff0000000000000LL), total = 0.0;
      for (i64 c = 0; c < n_units; ++c) {
        const double score = sums[c * n + place];
        top = score > top ? score : top;
      }
      for (i64 c = 0; c < n_units; ++c) total += exp_of((double)sums[c * n + place] - top);
      for (i64 c = 0; c < n_units; ++c) {
        const double share = exp_of((double)sums[c * n + place] - top) / total;
        const float truth = (i64)target == c ? 1.0f : 0.0f;
        own.slopes[c * n + place] = weight * ((float)share - truth);
      }
    }
  }
}

// Slopes by what the units below say, times those of their curves.
DEVICE void fall(const Task& k, const Own& own, const float* weights, i64 n_below, i64 n_units,
                 const float* values, i64 n) {
  const i64 n_tiles = (n_below + TILE - 1) / TILE;
  for (i64 e = threadIdx.x; e < n_tiles * n; e += THREADS) {
    const i64 tile = e / n, row = e - tile * n, first = tile * TILE;
    const float* own_weights[TILE];
    float sum[TILE];
    for (int t = 0; t < TILE; ++t) {
      own_weights[t] = weights + min(first + t, n_below - 1) * n_units;
      sum[t] = 0.0f;
    }
    for (i64 j = 0; j < n_units; ++j) {
      const float value = own.slopes[j * n + row];
      for (int t = 0; t < TILE; ++t) sum[t] += own_weights[t][j] * value;
    }
    for (int t = 0; t < TILE; ++t) {
      if (first + t >= n_below) continue;
      const float value = values[(first + t) * n + row];
      float& below = own.below[(first + t) * n + row];
      if (k.is_tanh) below = sum[t] * (1.0f - value * value);
      else below = value > 0.0f ? sum[t] : 0.0f;
    }
  }
}

// The sum of LANES lanes next to each other; the first of them has it.
DEVICE float folded(float sum) {
  sum += __shfl_down_sync(ALL, sum, 4);
  sum += __shfl_down_sync(ALL, sum, 2);
  return sum + __shfl_down_sync(ALL, sum, 1);
}

// Adam's step of one weight.
DEVICE void move_weight(const Own& own, i64 at, float slope, const Step& step) {
  const float first = FADE_FIRST * own.first[at] + (1.0f - FADE_FIRST) * slope;
  const float second = FADE_SECOND * own.second[at] + (1.0f - FADE_SECOND) * (slope * slope);
  own.first[at] = first;
  own.second[at] = second;
  own.weights[at] -= step.size * first / (sqrtf(second) + LEAST);
}

// Moves a layer's weights against their slopes: LANES lanes have TILE units of one unit below.
DEVICE void move_layer(const Own& own, i64 place, i64 n_below, i64 n_units, const float* values,
                       i64 n, const Step& step) {
  const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
  const i64 n_tiles = (n_units + TILE - 1) / TILE;
  // The unit below that is none stands for the biases.
  const i64 n_all = (n_below + 1) * n_tiles;
  for (i64 e0 = 0; e0 < n_all; e0 += THREADS / LANES) {
    const i64 e = min(e0 + group, n_all - 1);
    const i64 i = e / n_tiles, first = (e - i * n_tiles) * TILE;
    const bool is_bias = i == n_below;
    const float* slopes[TILE];
    float sum[TILE];
    for (int t = 0; t < TILE; ++t) {
      slopes[t] = own.slopes + min(first + t, n_units - 1) * n;
      sum[t] = 0.0f;
    }
    for (i64 row = lane; row < n; row += LANES) {
      if (is_bias) {
        for (int t = 0; t < TILE; ++t) sum[t] += slopes[t][row];
      } else {
        const float value = values[i * n + row];
        for (int t = 0; t < TILE; ++t) sum[t] += value * slopes[t][row];
      }
    }
    float mine = 0.0f;
    for (int t = 0; t < TILE; ++t) {
      const float all = __shfl_sync(ALL, folded(sum[t]), 0, LANES);
      mine = lane == t ? all : mine;
    }
    if (e0 + group >= n_all || lane >= TILE || first + lane >= n_units) continue;
    const i64 at = place + i * n_units + first + lane;
    const float slope = is_bias ? mine / step.n_rows
                                : (mine + step.alpha * own.weights[at]) / step.n_rows;
    move_weight(own, at, slope, step);
  }
}

// Takes a step in every layer, the last one first.
DEVICE void back(const MlpArguments& a, const Task& k, Own own, i64 n_batch, i64 n,
                 const Step& step) {
  slope(a, k, own, n_batch, n);
  const float* values = last_of(k, own, n);
  i64 place = k.n_weights;
  for (i64 layer = k.n_layers - 1; layer >= 0; --layer) {
    const i64 n_below = own.units[layer], n_units = own.units[layer + 1];
    values -= n_below * n;
    place -= (n_below + 1) * n_units;
    __syncthreads();
    if (layer > 0) fall(k, own, own.weights + place, n_below, n_units, values, n);
    __syncthreads();
    move_layer(own, place, n_below, n_units, values, n, step);
    float* const below = own.below;
    own.below = own.slopes;
    own.slopes = below;
  }
  __syncthreads();
}
