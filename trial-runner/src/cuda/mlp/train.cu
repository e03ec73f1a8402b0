// The third part: a training, and the kernel.
DEVICE i64 padded(i64 n) { return (n + LANES - 1) / LANES * LANES; }

// Lays out the features of the batch's rows, out of `n_all` ones.
DEVICE void gather(const Own& own, const float* values, i64 n_features, i64 n_all, i64 n_batch,
                   i64 n) {
  __syncthreads();
  for (i64 e = threadIdx.x; e < n_features * n; e += THREADS) {
    const i64 f = e / n, place = e - f * n;
    own.values[e] = place < n_batch ? values[f * n_all + own.rows[place]] : 0.0f;
  }
}

// The summed squared errors on the rows that are held back, of probabilities where there are
// classes; one thread's, in their order.
DEVICE double missed_of(const MlpArguments& a, const Task& k, const Own& own) {
  double missed = 0.0;
  for (i64 first = 0; first < k.n_held; first += k.batch_size) {
    const i64 n_batch = min(k.batch_size, k.n_held - first), n = padded(n_batch);
    __syncthreads();
    for (i64 place = threadIdx.x; place < n_batch; place += THREADS)
      own.rows[place] = (u32)a.rows[k.held + first + place];
    gather(own, a.reals + k.values, own.units[0], k.n_rows, n_batch, n);
    ahead(k, own, n);
    slope(a, k, own, n_batch, n);
    __syncthreads();
    if (threadIdx.x > 0) continue;
    for (i64 c = 0; c < own.units[k.n_layers]; ++c)
      for (i64 place = 0; place < n_batch; ++place) {
        const i64 row = own.rows[place];
        const float weight = k.weights < 0 ? 1.0f : a.reals[k.weights + row];
        const double slope = own.slopes[c * n + place];
        if (weight > 0.0f) missed += slope * slope / (double)weight;
      }
  }
  return missed;
}

DEVICE void copy(float* to, const float* from, i64 n) {
  for (i64 at = threadIdx.x; at < n; at += THREADS) to[at] = from[at];
}

DEVICE void train(const MlpArguments& a, const Task& k, const Own& own, double* told) {
  copy(own.weights, a.reals + k.start, k.n_weights);
  for (i64 at = threadIdx.x; at < k.n_weights; at += THREADS) {
    own.first[at] = 0.0f;
    own.second[at] = 0.0f;
  }
  double first_power = 1.0, second_power = 1.0, least = 0.0;
  i64 best = -1;
  for (i64 epoch = 0; epoch < k.n_epochs; ++epoch) {
    const u64 key = mix_of((u64)k.seed, (u64)epoch, 1);
    for (i64 first = 0; first < k.n_train; first += k.batch_size) {
      const i64 n_batch = min(k.batch_size, k.n_train - first), n = padded(n_batch);
      __syncthreads();
      for (i64 place = threadIdx.x; place < n_batch; place += THREADS)
        own.rows[place] =
            (u32)a.rows[k.train + shuffled(key, (u32)k.n_train, (u32)(first + place))];
      gather(own, a.reals + k.values, own.units[0], k.n_rows, n_batch, n);
      ahead(k, own, n);
      first_power *= (double)FADE_FIRST;
      second_power *= (double)FADE_SECOND;
      const double share = sqrt(1.0 - second_power) / (1.0 - first_power);
      const Step step = {(float)(k.learning_rate * share), (float)k.alpha, (float)n_batch};
      back(a, k, own, n_batch, n, step);
    }
    if (k.patience == 0) continue;
    const double missed = missed_of(a, k, own);
    if (threadIdx.x == 0) *told = missed;
    __syncthreads();
    const double now = *told;
    if (best < 0 || now < least) {
      least = now;
      best = epoch;
      copy(own.best, own.weights, k.n_weights);
    } else if (epoch - best >= k.patience) {
      break;
    }
  }
  __syncthreads();
  if (best >= 0) copy(own.weights, own.best, k.n_weights);
}

// Tells the last layer's sums of the rows to predict for.
DEVICE void tell(const MlpArguments& a, const Task& k, const Own& own) {
  for (i64 first = 0; first < k.n_ahead; first += k.most_rows) {
    const i64 n_batch = min(k.most_rows, k.n_ahead - first), n = padded(n_batch);
    __syncthreads();
    for (i64 place = threadIdx.x; place < n_batch; place += THREADS)
      own.rows[place] = (u32)(first + place);
    gather(own, a.reals + k.ahead, own.units[0], k.n_ahead, n_batch, n);
    ahead(k, own, n);
    const float* sums = last_of(k, own, n);
    for (i64 e = threadIdx.x; e < own.units[k.n_layers] * n_batch; e += THREADS) {
      const i64 unit = e / n_batch, place = e - unit * n_batch;
      a.out[k.out + unit * k.n_ahead + first + place] = sums[unit * n + place];
    }
  }
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS) mlp(const MlpArguments a) {
  SHARED(shared);
  __shared__ i64 next;
  __shared__ double told;
  for (;;) {
    if (threadIdx.x == 0) next = atomicAdd(a.next, 1);
    __syncthreads();
    const i64 index = next;
    __syncthreads();
    if (index >= a.n_tasks) return;
    const Task& k = a.tasks[index];
    const Own own = lay_out(a, k, shared);
    train(a, k, own, &told);
    tell(a, k, own);
  }
}
KERNEL(mlp, MlpArguments)
