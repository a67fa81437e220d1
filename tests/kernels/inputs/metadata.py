"""The tables of kernels/metadata.tile by loops over tokens."""


def tokens(start, length):
    """(token, request, position) of every token."""
    for r in range(len(length)):
        for t in range(start[r], start[r + 1]):
            yield t, r, length[r] - start[r + 1] + t


def slot(table, r, at, rows):
    at = int(at)
    if at < 0 or at // rows >= table.shape[1] or table[r, at // rows] < 0:
        return -1
    return int(table[r, at // rows]) * rows + at % rows


def compressed_slots(start, length, table, rows, ratio, total):
    out = np.full(total, -1, np.int64)
    for t, r, p in tokens(start, length):
        if (p + 1) % ratio == 0:
            out[t] = slot(table, r, p // ratio, rows)
    return out


def topk_slots(topk, request, table, valid, rows, was):
    out, lens = was.copy(), np.zeros(len(topk), np.int32)
    for t in range(len(topk)):
        if valid[t]:
            out[t] = [slot(table, request[t], i, rows) for i in topk[t]]
            lens[t] = (topk[t] >= 0).sum()
    return out, lens


def window_slots(start, length, table, first, valid, window, rows, was):
    out, lens = was.copy(), np.zeros(len(was), np.int32)
    for t, r, p in tokens(start, length):
        if not valid[t]:
            continue
        n = min(p + 1, window)
        out[t] = -1
        out[t, :n] = [slot(table, r, at - first[r] * rows, rows) for at in range(p + 1 - n, p + 1)]
        lens[t] = n
    return out, lens


def prefill_candidates(topk, start, length, gather, window, ratio, limit, m, n, was, entries=None):
    out, lens = was.copy(), np.zeros(len(was), np.int32)
    for t, r, p in tokens(start, length):
        a = min((p + 1) // ratio, min(limit, topk.shape[1]) if entries is None else entries[r])
        w = min(p + 1, window)
        chosen = topk[t, :a] if entries is None else np.arange(a)
        out[t] = -1
        out[t, :a] = np.where(chosen < 0, -1, r * m + chosen)
        out[t, a:a + w] = r * m + n + p - w + 1 - (length[r] - gather[r]) + np.arange(w)
        lens[t] = a + w
    return out, lens


def compressed_rows(position, request, table, slots, ratio, rows, decode, decode_was, lens_was, prefill_was):
    d, lens, f = decode_was.copy(), lens_was.copy(), prefill_was.copy()
    width = d.shape[1]
    for t, p in enumerate(position):
        n = min((int(p) + 1) // ratio, width)
        row = [i if i < n else -1 for i in range(width)]
        if t < decode:
            d[t] = [slot(table, request[t], i, rows) for i in row]
            lens[t] = 0 if slots[t] < 0 else n
        else:
            f[t - decode] = row
    return d, lens, f
