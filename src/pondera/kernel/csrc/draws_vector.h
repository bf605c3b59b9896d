/* Words and numbers with AVX-512 or AVX2; same functions and same bits as draws_scalar.h. */
#include <stddef.h>

#include "vectors.h"

/* Normal quantiles on their way: what a first loop over words leaves for a second one. */
typedef struct {
    _Alignas(64) uint32_t pattern[TILE]; /* the magnitude as float32, and the word's sign */
    _Alignas(64) uint32_t number[TILE];  /* which piece it lies in */
    _Alignas(64) uint64_t piece[TILE];
} quantiles;

/* A load and a store for each word: gather instructions take twice as long on Zen, and elsewhere depend
 * on what microcode made of them. */
INLINE void look_up(quantiles *q, unsigned from, unsigned to) {
#pragma GCC unroll 16
    for (unsigned i = from; i < to; i++) {
        uint64_t found = pondera_quantile[q->number[i]];
        __asm__("" : "+r"(found)); /* keeps the compiler from gathering */
        q->piece[i] = found;
    }
}

/* Words of lanes from ... to - 1 of a tile, in steps of 16: Philox4x32-10, see core/bits.py. Between the
 * rounds, which only compute, the pieces of `waiting` are looked up, which only loads and stores: the two
 * then cost little more than the longer of them. */
INLINE void make_words(uint32_t words[TILE], uint64_t tile, uint32_t from, uint32_t to,
                       const pondera_recipe *r, quantiles *waiting) {
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
        for (unsigned round = 0; round < 10; round++) {
#pragma GCC unroll 2
            for (unsigned h = 0; h < 2; h++) {
                vec p0 = product(m0, c[h][0]), p1 = product(m1, c[h][2]);
                c[h][0] = xor3(right64(p1, 32), c[h][1], k0[round]);
                c[h][2] = xor3(right64(p0, 32), c[h][3], k1[round]);
                c[h][1] = p1; /* upper halves are never read */
                c[h][3] = p0;
            }
            if (waiting)
                look_up(waiting, 4 * lane + 4 * WIDTH * round / 10,
                        4 * lane + 4 * WIDTH * (round + 1) / 10);
        }
#pragma GCC unroll 4
        for (unsigned j = 0; j < 4; j++) store(words + LANES * j + lane, evens(c[0][j], c[1][j]));
    }
}

SHARED void make_some_words(uint32_t words[TILE], uint64_t tile, uint32_t from, uint32_t to,
                            const pondera_recipe *r) {
    make_words(words, tile, from, to, r, NULL);
}

/* Upper 32 bits of each product. */
INLINE vec high(vec x, vec y) {
    return even_odd(right64(product(x, y), 32), product(right64(x, 32), right64(y, 32)));
}

/* Quantiles of magnitudes in 64-bit lanes: from their bits as float32 and the pieces they lie in. */
INLINE vec folded(vec pattern, vec piece) {
    vec within = left32(pattern, 15);
    vec curve = and(piece, all64((1 << 13) - 1));
    vec slope = and(right64(piece, 13), all64((1 << 21) - 1));
    slope = sub64(slope, right64(product(within, curve), 32));
    return sub64(right64(piece, 34), right64(product(within, slope), 32));
}

/* First loop: patterns, and numbers of the pieces. */
INLINE void begin(const uint32_t *words, quantiles *q, unsigned count, const pondera_recipe *r,
                  int kind) {
    for (unsigned i = 0; i < count; i += WIDTH) {
        vec w = load(words + i);
        if (kind == TRUNCATED) w = add32(all32(r->floor), high(w, all32(r->span)));
        vec bits = to_float(or(xor(w, signed_right32(w, 31)), all32(1)));
        store(q->number + i, sub32(right32(bits, 17), all32(127 << 6))); /* the exponent is the octave */
        store(q->pattern + i, or(bits, and(w, all32(1u << 31))));
    }
}

/* Second loop, when all pieces are there: the quantiles of words i ... i + WIDTH - 1. */
INLINE vec quantile(const quantiles *q, unsigned i) {
    const unsigned j = i + WIDTH / 2;
    vec z = evens(folded(widen(q->pattern + i), load(q->piece + i)),
                  folded(widen(q->pattern + j), load(q->piece + j)));
    vec sign = signed_right32(load(q->pattern + i), 31);
    return sub32(sign, xor(z, sign));
}

/* Integers from words, or from their quantiles. */
INLINE vec integers(vec x, const pondera_recipe *r, int kind) {
    if (kind == SYMMETRIC) return or(xor(x, all32(1u << 31)), all32(1));
    if (kind == INTERVAL) return add32(all32(r->floor), high(x, all32(r->span)));
    if (kind == TRUNCATED) x = min32(max32(x, all32((uint32_t)r->lower)), all32((uint32_t)r->upper));
    return add32(signed_right32(x, r->shift), all32((uint32_t)r->offset));
}

/* float32 to bfloat16 in the low 16 bits: nearest, ties to even. */
INLINE vec to_bfloat16(vec x) {
    vec odd = and(right32(x, 16), all32(1));
    return right32(add32(add32(x, all32(0x7FFF)), odd), 16);
}

INLINE int has_quantiles(int kind) { return kind == NORMAL || kind == TRUNCATED; }

/* Numbers of `count` words, or of their quantiles. */
INLINE void finish(const uint32_t *words, const quantiles *q, void *to, unsigned count,
                   const pondera_recipe *r, int kind, int format) {
    const float unit = (float)r->unit;
    for (unsigned i = 0; i < count; i += WIDTH) {
        vec x = kind == CONSTANT ? all32(1) : has_quantiles(kind) ? quantile(q, i) : load(words + i);
        if (kind != CONSTANT) x = integers(x, r, kind);
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

/* Numbers of `count` words, a multiple of 16. */
INLINE void make_numbers(const uint32_t *words, void *to, unsigned count, const pondera_recipe *r,
                         int kind, int format) {
    quantiles q;
    if (has_quantiles(kind)) {
        begin(words, &q, count, r, kind);
        look_up(&q, 0, count);
    }
    finish(words, &q, to, count, r, kind, format);
}

/* Whole tiles, one after the other. Quantiles run one tile behind the words. */
INLINE void make_tiles(char *to, uint64_t tile, uint64_t tiles, const pondera_recipe *r, int kind,
                       int format) {
    const unsigned size = TILE * width_of(format);
    _Alignas(64) uint32_t words[TILE];
    quantiles q;
    if (!has_quantiles(kind)) {
        for (uint64_t i = 0; i < tiles; i++) {
            if (kind != CONSTANT) make_words(words, tile + i, 0, LANES, r, NULL);
            finish(words, &q, to + i * size, TILE, r, kind, format);
        }
        return;
    }
    make_some_words(words, tile, 0, LANES, r);
    begin(words, &q, TILE, r, kind);
    for (uint64_t i = 1; i < tiles; i++, to += size) {
        make_words(words, tile + i, 0, LANES, r, &q);
        finish(words, &q, to, TILE, r, kind, format);
        begin(words, &q, TILE, r, kind);
    }
    look_up(&q, 0, TILE);
    finish(words, &q, to, TILE, r, kind, format);
}
