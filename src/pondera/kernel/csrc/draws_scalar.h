/* Words and numbers in plain C, one at a time; same functions and same bits as draws_vector.h. */
#include <string.h>

#include "pondera.h"

/* Words of lanes from ... to - 1 of a tile, in steps of 16: Philox4x32-10, see core/bits.py. */
SHARED void make_some_words(uint32_t words[TILE], uint64_t tile, uint32_t from, uint32_t to,
                            const pondera_recipe *r) {
    const uint64_t block = tile << 6;
    for (uint32_t lane = from; lane < to; lane++) {
        uint32_t c0 = (uint32_t)block + lane, c1 = (uint32_t)(block >> 32);
        uint32_t c2 = r->name[0], c3 = r->name[1], k0 = r->key[0], k1 = r->key[1];
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
            c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
            c1 = (uint32_t)p1;
            c3 = (uint32_t)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        words[lane] = c0;
        words[LANES + lane] = c1;
        words[2 * LANES + lane] = c2;
        words[3 * LANES + lane] = c3;
    }
}

INLINE uint32_t high(uint32_t x, uint32_t y) { return (uint32_t)((uint64_t)x * y >> 32); }
INLINE uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
/* Quantiles of 16 words, in place. Separate loops: a compiler vectorises all but the middle one. */
INLINE void normal_quantiles(uint32_t w[16]) {
    uint32_t sign[16], pattern[16], z[16];
    uint64_t packed[16];
    for (int i = 0; i < 16; i++) {
        sign[i] = 0u - (w[i] >> 31);
        pattern[i] = bits_of((float)(int32_t)((w[i] ^ sign[i]) | 1)); /* its exponent is the octave */
    }
    for (int i = 0; i < 16; i++) packed[i] = pondera_quantile[(pattern[i] >> 17) - (127 << 6)];
    for (int i = 0; i < 16; i++) {
        uint32_t within = pattern[i] << 15;
        uint32_t curve = packed[i] & ((1 << 13) - 1), slope = (packed[i] >> 13) & ((1 << 21) - 1);
        z[i] = (uint32_t)(packed[i] >> 34) - high(within, slope - high(within, curve));
    }
    for (int i = 0; i < 16; i++) w[i] = sign[i] - (z[i] ^ sign[i]);
}

/* The integers of 16 words, in place. */
INLINE void integers(uint32_t w[16], const pondera_recipe *r, int kind) {
    if (kind == SYMMETRIC)
        for (int i = 0; i < 16; i++) w[i] = (w[i] ^ 1u << 31) | 1;
    if (kind == INTERVAL || kind == TRUNCATED)
        for (int i = 0; i < 16; i++) w[i] = r->floor + high(w[i], r->span);
    if (kind != NORMAL && kind != TRUNCATED) return;

    normal_quantiles(w);
    for (int i = 0; i < 16; i++) {
        int32_t z = (int32_t)w[i]; /* its right shift keeps the sign in gcc and clang */
        if (kind == TRUNCATED) z = z < r->lower ? r->lower : z > r->upper ? r->upper : z;
        w[i] = (uint32_t)((z >> r->shift) + r->offset);
    }
}

/* float32 to float16: nearest, ties to even, gradual underflow, infinity beyond 65504. */
INLINE uint16_t to_half(float number) {
    uint32_t x = bits_of(number), sign = (x >> 16) & 0x8000u;
    x &= 0x7FFFFFFFu;
    if (x >= 0x47800000u) return (uint16_t)(sign | 0x7C00u);
    if (x < 0x38800000u) { /* subnormal: the sum with 1/2 is rounded to 2^-24, its lowest bit */
        float size;
        memcpy(&size, &x, 4);
        return (uint16_t)(sign | (bits_of(size + 0.5f) - 0x3F000000u));
    }
    x += 0xC8000FFFu + ((x >> 13) & 1); /* exponent from bias 127 to 15, then half a unit */
    return (uint16_t)(sign | x >> 13);
}

INLINE void make_16(const uint32_t *words, void *to, const pondera_recipe *r, int kind, int format) {
    const float unit = (float)r->unit;
    uint32_t whole[16];
    for (int i = 0; i < 16; i++) whole[i] = kind == CONSTANT ? 1 : words[i];
    if (kind != CONSTANT) integers(whole, r, kind);
    for (int i = 0; i < 16; i++) {
        float x = (float)(int32_t)whole[i] * unit;
        uint32_t bits = bits_of(x);
        if (format == FLOAT64) ((double *)to)[i] = (int32_t)whole[i] * r->unit;
        if (format == FLOAT32) ((float *)to)[i] = x;
        if (format == BFLOAT16) ((uint16_t *)to)[i] = (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
        if (format == FLOAT16) ((uint16_t *)to)[i] = to_half(x);
    }
}

/* Numbers of `count` words, a multiple of 16. */
INLINE void make_numbers(const uint32_t *words, char *to, unsigned count, const pondera_recipe *r,
                         int kind, int format) {
    for (unsigned i = 0; i < count; i += 16)
        make_16(words + i, to + i * width_of(format), r, kind, format);
}

/* Whole tiles, one after the other. */
INLINE void make_tiles(char *to, uint64_t tile, uint64_t tiles, const pondera_recipe *r, int kind,
                       int format) {
    uint32_t words[TILE];
    for (uint64_t i = 0; i < tiles; i++) {
        if (kind != CONSTANT) make_some_words(words, tile + i, 0, LANES, r);
        make_numbers(words, to + i * TILE * width_of(format), TILE, r, kind, format);
    }
}
