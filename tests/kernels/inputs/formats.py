"""Quantised formats and cache layouts from their definitions, for the expressions of CASE lines.

Everything is computed in float32 with one rounding per operation, as the contracts in kernels/ say.
"""
F = np.float32
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], F)


def power_up(s):
    """The next power of two."""
    mantissa, exponent = np.frexp(s)
    return np.ldexp(F(1), exponent - (mantissa == 0.5)).astype(F)


def scale_of(amax, floor, largest, pow2):
    s = (np.maximum(amax, F(floor)) / F(largest)).astype(F)
    return power_up(s) if pow2 else s


def grouped(x, gran, axis):
    """x padded with zeros to whole groups along axis; shape [.., groups, gran, ..]."""
    pad = [(0, 0)] * x.ndim
    pad[axis] = (0, -x.shape[axis] % gran)
    x = np.pad(x.astype(F), pad)
    shape = list(x.shape)
    shape[axis:axis + 1] = [shape[axis] // gran, gran]
    return x.reshape(shape)


def fp8_groups(x, gran, axis, floor=1e-4, pow2=False):
    """q, scales of groups of `gran` along one axis."""
    g = grouped(x, gran, axis)
    s = scale_of(np.abs(g).max(axis + 1), floor, 448, pow2)
    y = g * np.expand_dims((F(1) / s).astype(F), axis + 1)
    shape = list(x.shape)
    shape[axis] = -1
    q = encode("f8e4m3", y.reshape(shape))
    return q[tuple(slice(0, n) for n in x.shape)], s


def fp8_blocks(x, gran, floor=1e-4, pow2=False):
    g = grouped(grouped(x, gran, 1), gran, 0)  # [mb, gran, kb, gran]
    s = scale_of(np.abs(g).max((1, 3)), floor, 448, pow2)
    y = g * (F(1) / s).astype(F)[:, None, :, None]
    q = encode("f8e4m3", y.reshape(g.shape[0] * gran, -1))
    return q[:x.shape[0], :x.shape[1]], s


def fp4_codes(y, even):
    a = np.abs(y)
    if even:  # nearest, ties to the even code
        code = np.zeros(a.shape, np.uint8)
        for i, border in enumerate((0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)):
            code += (a >= border) if i % 2 else (a > border)
        return code | np.signbit(y).astype(np.uint8) << 3
    code = sum((a > b).astype(np.uint8) for b in (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0))
    return np.where((y < 0) & (code > 0), code | 8, code).astype(np.uint8)


def pack4(codes):
    return codes[..., ::2] | codes[..., 1::2] << 4


def unpack4(bytes_):
    codes = np.stack([bytes_ & 15, bytes_ >> 4], -1).reshape(*bytes_.shape[:-1], -1)
    return np.where(codes & 8, -E2M1[codes & 7], E2M1[codes & 7]).astype(F)


def fp4_groups(x, gran=32, floor=1e-4, even=False):
    g = grouped(x, gran, 1)
    s = power_up((np.maximum(np.abs(g).max(2), F(floor)) / F(6)).astype(F))
    y = (g * (F(1) / s)[:, :, None]).reshape(x.shape[0], -1)[:, :x.shape[1]]
    return pack4(fp4_codes(y, even)), s


def ue8m0(s):
    return (np.ascontiguousarray(s, F).view(np.uint32) >> 23 & 255).astype(np.uint8)


def bf16_values(bits):
    return (bits.astype(np.uint32) << 16).view(F)


# --- indexer cache: a page is a plane of values and a plane of scales -------------------------------

def indexer_pages(pages, rows, mxfp4=False, seed=0):
    """A pool of valid bytes."""
    rng = np.random.default_rng(seed + 99)
    if mxfp4:
        values = rng.integers(0, 256, (pages, rows * 64)).astype(np.uint8)
        scales = rng.integers(100, 150, (pages, rows * 4)).astype(np.uint8)
    else:
        values = rng.integers(0, 256, (pages, rows * 128)).astype(np.uint8)
        values[values & 127 == 127] = 0  # no NaN
        scales = rng.uniform(1e-4, 2, (pages, rows)).astype(F).view(np.uint8)
    return np.concatenate([values, scales], 1)


def read_indexer(cache, slots, rows, mxfp4=False):
    """The loop over rows."""
    out = np.zeros((len(slots), 128), F)
    for i, slot in enumerate(slots):
        page, row = int(slot) // rows, int(slot) % rows
        if slot < 0 or page >= len(cache):
            continue
        bytes_ = cache[page]
        if mxfp4:
            scale = np.exp2(bytes_[rows * 64 + row * 4:][:4].astype(F) - 127)
            out[i] = (unpack4(bytes_[row * 64:][:64]).reshape(4, 32) * scale[:, None]).reshape(-1)
        else:
            scale = np.ascontiguousarray(bytes_[rows * 128 + row * 4:][:4]).view(F)[0]
            out[i] = values_of("f8e4m3", bytes_[row * 128:][:128]).astype(F) * scale
    return out


def write_indexer(cache, x, slots, rows, mxfp4=False, floor=1e-4, scale_floor=0, pow2=True, even=False):
    out = cache.copy()
    for value, slot in zip(x.astype(F), slots):
        page, row = int(slot) // rows, int(slot) % rows
        if slot < 0 or page >= len(cache):
            continue
        if mxfp4:
            q, s = fp4_groups(value[None], 32, floor, even)
            out[page, row * 64:][:64] = q[0]
            out[page, rows * 64 + row * 4:][:4] = ue8m0(s[0])
        else:
            s = np.maximum((np.maximum(np.abs(value).max(), F(floor)) / F(448)).astype(F), F(scale_floor))
            s = power_up(s) if pow2 else s
            out[page, row * 128:][:128] = encode("f8e4m3", value * (F(1) / s))
            out[page, rows * 128 + row * 4:][:4] = np.array([s], F).view(np.uint8)
    return out


def gather_indexer(cache, table, cu, rows, total, kb, sb, fill):
    values, scales = np.full((total, kb), fill, np.uint8), np.full((total, sb), fill, np.uint8)
    for r in range(len(table)):
        for t in range(cu[r], min(cu[r + 1], total)):
            at = t - cu[r]
            page = table[r, at // rows] if at // rows < table.shape[1] else -1
            inside = 0 <= page < len(cache)
            values[t] = cache[page, at % rows * kb:][:kb] if inside else 0
            scales[t] = cache[page, rows * kb + at % rows * sb:][:sb] if inside else 0
    return values, scales


# --- scale factors ------------------------------------------------------------------------------

def pack_ue8m0(sf, mn, gran_mn):
    """[G, R, KB] f32 -> [G, mn, ceil(KB / 4)] i32."""
    codes = ue8m0(sf)[:, np.arange(mn) // gran_mn]
    codes = np.pad(codes, ((0, 0), (0, 0), (0, -codes.shape[2] % 4)))
    return np.ascontiguousarray(codes).view(np.int32)


def pack_k_grouped(sf, ks, gran):
    out, at = [], 0
    for k in ks:
        rows = -(-int(k) // gran)
        out.append(pack_ue8m0(sf[None, at:at + rows].transpose(0, 2, 1), sf.shape[1], 1)[0].T)
        at += rows
    return np.concatenate(out)


def tf32(x):
    bits = np.ascontiguousarray(x, F).view(np.uint32).astype(np.uint64)
    return ((bits + 0xFFF + (bits >> 13 & 1)) & ~np.uint64(0x1FFF)).astype(np.uint32).view(F)


def slices(k, count):
    blocks = -(-k // 64)
    ends = np.cumsum([0] + [blocks // count + (s < blocks % count) for s in range(count)]) * 64
    return [slice(ends[s], min(ends[s + 1], k)) for s in range(count)]


def prenorm(a, b, count):
    a, b = a.astype(np.float64), tf32(b).astype(np.float64)
    return (np.stack([a[:, s] @ b[:, s].T for s in slices(a.shape[1], count)]),
            np.stack([(a[:, s]**2).sum(1) for s in slices(a.shape[1], count)]))


# --- indexer logits -----------------------------------------------------------------------------

def fp8_values(bits):
    return values_of("f8e4m3", bits).astype(np.float64)


def mqa(q, k, ks, w, start, end, fill=-np.inf):
    """q[S, H, D], k[T, D] as values; columns outside of start .. end hold `fill`."""
    s = np.maximum(np.einsum("ihd,jd->ihj", q, k), 0)
    out = np.einsum("ihj,ih->ij", s, w.astype(np.float64)) * ks.astype(np.float64)
    j = np.arange(len(k))
    return np.where((j >= start[:, None]) & (j < np.minimum(end, len(k))[:, None]), out, fill)


def mqa_compressed(full, start, end, width, fill):
    out = np.full((len(full), width), fill, np.float64)
    for i in range(len(full)):
        part = full[i, max(start[i], 0):max(end[i], 0)]
        out[i, :len(part)] = part[:width]
    return out


def fp4_values(packed, words):
    """e2m1 pairs [.., 64] with four ue8m0 bytes in each word [..]."""
    scales = np.exp2(np.ascontiguousarray(words).view(np.uint8).reshape(*words.shape, 4).astype(np.float64) - 127)
    return unpack4(packed).astype(np.float64) * np.repeat(scales, 32, -1)


def fp8_pages(cache, rows):
    values = fp8_values(cache[:, :rows * 128]).reshape(-1, rows, 128)
    return values * np.ascontiguousarray(cache[:, rows * 128:rows * 132]).view(F).astype(np.float64)[:, :, None]


def fp4_pages(cache, rows):
    return fp4_values(cache[:, :rows * 64].reshape(-1, rows, 64), np.ascontiguousarray(cache[:, rows * 64:rows * 68]).view(np.int32))


def mqa_paged(q, values, w, context, table, rows, width, fill):
    """`values` of the pages with their (positive) scales applied."""
    b, nn, h, d = q.shape
    out = np.full((b * nn, width), fill, np.float64)
    for i in range(b):
        for n in range(nn):
            have = context[i, n] if context.shape[1] == nn else context[i, 0] - (nn - 1 - n)
            for j in range(min(max(have, 0), width)):
                page = table[i, j // rows] if j // rows < table.shape[1] else -1
                inside = 0 <= page < len(values)
                s = np.maximum(q[i, n] @ values[page, j % rows], 0) @ w[i * nn + n] if inside else 0
                out[i * nn + n, j] = s
    return out


def topk(x, start, end, k):
    """Positions of the k largest finite values of each row, ties to the earlier; ascending, then -1."""
    out = np.full((len(x), k), -1, np.int32)
    for i in range(len(x)):
        lo = min(max(int(start[i]), 0), x.shape[1])
        row = x[i, lo:max(min(int(end[i]), x.shape[1]), lo)].astype(np.float64)
        best = np.arange(len(row))
        if len(row) > k:
            order = np.argsort(-np.where(np.isfinite(row), row, -np.inf), kind="stable")[:k]
            best = np.sort(order[np.isfinite(row[order])])
        out[i, :len(best)] = best
    return out


def merge_topk(best, at, x, start, end, base, k):
    """The k largest of the list and of the chunk's columns, by position; values and positions."""
    v, p = np.full((len(x), k), -np.inf, np.float32), np.full((len(x), k), -1, np.int32)
    for i in range(len(x)):
        col = base + np.arange(x.shape[1])
        live = (col >= start[i]) & (col < end[i])
        value = np.concatenate([best[i][at[i] >= 0], x[i][live]]).astype(np.float64)
        place = np.concatenate([at[i][at[i] >= 0], col[live]])
        order = np.argsort(-np.where(np.isfinite(value), value, -np.inf), kind="stable")[:k]
        order = np.sort(order[np.isfinite(value[order])])
        v[i, :len(order)], p[i, :len(order)] = value[order], place[order]
    return v, p


def schedule(context, split, atoms, slots):
    units = [(b * atoms + a, u) for b, row in enumerate(context) for a in range(atoms)
             for u in range(-(-max(int(row[-1]), 0) // split))]
    each, more = divmod(len(units), slots)
    starts = [s * each + max(s - (slots - more), 0) for s in range(slots)]
    return np.array([units[s] if s < len(units) else (0, 0) for s in starts] + [(len(context) * atoms, 0)], np.int32)
