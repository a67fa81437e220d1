"""Sparse attention from its definition, in float64 over the stored values."""


def bf16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def sparse_attention(q, k, v, index, length, sink, scale):
    """q[T, H, D], k[P, D], v[P, DV], index[T, C]; out, max, lse (natural)."""
    t, h, _ = q.shape
    out, top, lse = np.zeros((t, h, v.shape[1])), np.full((t, h), -np.inf), np.full((t, h), np.inf)
    for i in range(t):
        rows = index[i][:index.shape[1] if length is None else max(int(length[i]), 0)]
        rows = rows[(rows >= 0) & (rows < len(k))]
        if not len(rows):
            continue
        s = q[i] @ k[rows].T * scale
        top[i] = s.max(1)
        e = np.exp(s - top[i][:, None])
        lse[i] = top[i] + np.log(e.sum(1))
        extra = 0 if sink is None else np.exp(sink - top[i])
        out[i] = e @ v[rows] / (e.sum(1) + extra)[:, None]
    return out, top, lse


def candidates(rng, t, c, pool):
    """Valid rows with the invalid indices of the upstream tests mixed in."""
    bad = np.array([-2**31, -123456, -1, pool, 114514, 1919810, 2147480000, 2**31 - 1])
    index = rng.integers(0, pool, (t, c)) if pool else np.full((t, c), -1)
    return np.where(rng.random((t, c)) < 0.2, rng.choice(bad, (t, c)), index).astype(np.int32)


def latent(rng, *shape):
    return encode("bf16", np.clip(rng.standard_normal(shape) / 10 + rng.uniform(-.05, .05), -10, 10))


def sinks(rng, h):
    kind = rng.random(h)
    return np.where(kind < .31, -np.inf, np.where(kind < .62, np.inf, rng.standard_normal(h))).astype(np.float32)
