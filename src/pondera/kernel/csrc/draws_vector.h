/* Words and numbers with AVX-512 or AVX2; same functions and same bits as draws_scalar.h. */
#include "vectors.h"

/* Words of lanes from ... to - 1 of a tile, in steps of 16: Philox4x32-10, see core/bits.py. */
INLINE void make_words(uint32_t words[TILE], uint64_t tile, uint32_t from, uint32_t to,
                       const pondera_recipe *r) {
    const vec m0 = all64(0xD2511F53u), m1 = all64(0xCD9E8D57u);
    const uint64_t block = tile << 6; /* its low 6 bits are the lane: adding one never carries */
    vec k0[10], k1[10];
    for (uint32_t round = 0; round < 10; round++) {
        k0[round] = all64(r->key[0] + round * 0x9E3779B9u);
        k1[round] = all64(r->key[1] + round * 0xBB67AE85u);
    }
    for (uint32_t lane = from; lane < to; lane += WIDTH) {
        vec c[2][4]; /* two counters' vectors in flight hide the multiplier's latency */
        for (unsigned h = 0; h < 2; h++) {
            c[h][0] = add64(all64((uint32_t)block + lane + h * WIDTH / 2), count64());
            c[h][1] = all64(block >> 32);
            c[h][2] = all64(r->name[0]);
            c[h][3] = all64(r->name[1]);
        }
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
#pragma GCC unroll 2
            for (unsigned h = 0; h < 2; h++) {
                vec p0 = product(m0, c[h][0]), p1 = product(m1, c[h][2]);
                c[h][0] = xor3(right64(p1, 32), c[h][1], k0[round]);
                c[h][2] = xor3(right64(p0, 32), c[h][3], k1[round]);
                c[h][1] = p1; /* upper halves are never read */
                c[h][3] = p0;
            }
        }
#pragma GCC unroll 4
        for (unsigned j = 0; j < 4; j++) store(words + LANES * j + lane, evens(c[0][j], c[1][j]));
    }
}

/* Upper 32 bits of each product. */
INLINE vec high(vec x, vec y) {
    return even_odd(right64(product(x, y), 32), product(right64(x, 32), right64(y, 32)));
}

/* Quantile of the magnitudes in the even lanes (their odd lanes zero), given as bits of float32. */
INLINE vec folded(vec pattern) {
    vec piece = sub64(right64(pattern, 17), all64(127 << 6));
    vec within = left32(pattern, 15);
    vec packed = look_up(pondera_quantile, piece);
    vec curve = and(packed, all64((1 << 13) - 1));
    vec slope = and(right64(packed, 13), all64((1 << 21) - 1));
    slope = sub64(slope, right64(product(within, curve), 32));
    return sub64(right64(packed, 34), right64(product(within, slope), 32));
}

INLINE vec normal_quantile(vec w) {
    vec sign = signed_right32(w, 31);
    vec pattern = to_float(or(xor(w, sign), all32(1))); /* its exponent is the octave */
    vec even = folded(and(pattern, all64(0xFFFFFFFFu))), odd = folded(right64(pattern, 32));
    vec z = even_odd(even, left64(odd, 32));
    return sub32(sign, xor(z, sign));
}

INLINE vec integers(vec w, const pondera_recipe *r, int kind) {
    if (kind == SYMMETRIC) return or(xor(w, all32(1u << 31)), all32(1));
    if (kind == INTERVAL) return add32(all32(r->floor), high(w, all32(r->span)));
    if (kind == TRUNCATED) {
        vec kept = add32(all32(r->floor), high(w, all32(r->span)));
        w = max32(normal_quantile(kept), all32((uint32_t)r->lower));
        w = min32(w, all32((uint32_t)r->upper));
    } else {
        w = normal_quantile(w);
    }
    return add32(signed_right32(w, r->shift), all32((uint32_t)r->offset));
}

/* float32 to bfloat16 in the low 16 bits: nearest, ties to even. */
INLINE vec to_bfloat16(vec x) {
    vec odd = and(right32(x, 16), all32(1));
    return right32(add32(add32(x, all32(0x7FFF)), odd), 16);
}

/* 16 numbers of 16 words. */
INLINE void make_numbers(const uint32_t *words, void *to, const pondera_recipe *r, int kind,
                         int format) {
    const float unit = (float)r->unit;
    for (unsigned l = 0; l < 16; l += WIDTH) {
        vec x = kind == CONSTANT ? all32(1) : integers(load(words + l), r, kind);
        if (format == FLOAT64) {
            store_double((double *)to + l, x, r->unit);
            continue;
        }
        x = times_float(to_float(x), unit);
        if (format == FLOAT32) store((uint32_t *)to + l, x);
        if (format == BFLOAT16) store_low16((uint16_t *)to + l, to_bfloat16(x));
        if (format == FLOAT16) store_half((uint16_t *)to + l, x);
    }
}
