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

/* The words that the quantile is taken of. */
INLINE vec kept(vec w, const pondera_recipe *r, int kind) {
    return kind == TRUNCATED ? add32(all32(r->floor), high(w, all32(r->span))) : w;
}

/* Magnitudes' quantile, 64-bit lanes: bits of the magnitude as float32, and the piece it lies in. */
INLINE vec folded(vec pattern, vec piece) {
    vec within = left32(pattern, 15);
    vec curve = and(piece, all64((1 << 13) - 1));
    vec slope = and(right64(piece, 13), all64((1 << 21) - 1));
    slope = sub64(slope, right64(product(within, curve), 32));
    return sub64(right64(piece, 34), right64(product(within, slope), 32));
}

/* Normal quantiles of `count` words, in three loops: the middle one is a load and a store for each word.
 * Gather instructions take longer, on Zen twice as long, and depend on a processor's microcode. */
INLINE void normal_quantiles(const uint32_t *words, int32_t *to, unsigned count,
                             const pondera_recipe *r, int kind) {
    _Alignas(64) uint32_t pattern[TILE], number[TILE];
    _Alignas(64) uint64_t piece[TILE];
    for (unsigned i = 0; i < count; i += WIDTH) {
        vec w = kept(load(words + i), r, kind), sign = signed_right32(w, 31);
        vec bits = to_float(or(xor(w, sign), all32(1))); /* its exponent is the octave */
        store(pattern + i, bits);
        store(number + i, sub32(right32(bits, 17), all32(127 << 6)));
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < count; i++) {
        uint64_t found = pondera_quantile[number[i]];
        __asm__("" : "+r"(found)); /* keeps the compiler from gathering */
        piece[i] = found;
    }
    for (unsigned i = 0; i < count; i += WIDTH) {
        vec low = folded(widen(pattern + i), load(piece + i));
        vec high_ = folded(widen(pattern + i + WIDTH / 2), load(piece + i + WIDTH / 2));
        vec sign = signed_right32(kept(load(words + i), r, kind), 31);
        store(to + i, sub32(sign, xor(evens(low, high_), sign)));
    }
}

INLINE vec integers(vec w, const pondera_recipe *r, int kind) {
    if (kind == CONSTANT) return all32(1);
    if (kind == SYMMETRIC) return or(xor(w, all32(1u << 31)), all32(1));
    if (kind == INTERVAL) return add32(all32(r->floor), high(w, all32(r->span)));
    if (kind == TRUNCATED) w = min32(max32(w, all32((uint32_t)r->lower)), all32((uint32_t)r->upper));
    return add32(signed_right32(w, r->shift), all32((uint32_t)r->offset));
}

/* float32 to bfloat16 in the low 16 bits: nearest, ties to even. */
INLINE vec to_bfloat16(vec x) {
    vec odd = and(right32(x, 16), all32(1));
    return right32(add32(add32(x, all32(0x7FFF)), odd), 16);
}

/* Numbers of `count` words, a multiple of 16. */
INLINE void make_numbers(const uint32_t *words, void *to, unsigned count, const pondera_recipe *r,
                         int kind, int format) {
    const float unit = (float)r->unit;
    _Alignas(64) int32_t quantiles[TILE];
    const void *from = words;
    if (kind == NORMAL || kind == TRUNCATED) {
        normal_quantiles(words, quantiles, count, r, kind);
        from = quantiles;
    }
    for (unsigned i = 0; i < count; i += WIDTH) {
        vec x = integers(kind == CONSTANT ? all32(1) : load((const uint32_t *)from + i), r, kind);
        if (format == FLOAT64) {
            store_double((double *)to + i, x, r->unit);
            continue;
        }
        x = times_float(to_float(x), unit);
        if (format == FLOAT32) store((uint32_t *)to + i, x);
        if (format == BFLOAT16) store_low16((uint16_t *)to + i, to_bfloat16(x));
        if (format == FLOAT16) store_half((uint16_t *)to + i, x);
    }
}
