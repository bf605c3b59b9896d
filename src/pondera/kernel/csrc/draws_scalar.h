/* Words and numbers in plain C, one at a time; same functions and same bits as draws_vector.h. */
#include <string.h>

#include "pondera.h"

/* Words of lanes 16 * group ... + 15 of a tile: Philox4x32-10, see core/bits.py. */
INLINE void make_words(uint32_t words[TILE], uint64_t tile, unsigned group, const pondera_recipe *r) {
    const uint64_t block = tile << 6;
    for (uint32_t lane = 16 * group; lane < 16 * group + 16; lane++) {
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
/* Arithmetic shift without leaving it to the implementation. */
INLINE int32_t signed_right(int32_t x, int n) { return x < 0 ? ~(~x >> n) : x >> n; }

INLINE int32_t normal_quantile(uint32_t w) {
    uint32_t sign = 0u - (w >> 31);
    uint32_t pattern = bits_of((float)(int32_t)((w ^ sign) | 1)); /* its exponent is the octave */
    uint64_t packed = pondera_quantile[(pattern >> 17) - (127 << 6)];
    uint32_t within = pattern << 15;
    uint32_t curve = packed & ((1 << 13) - 1), slope = (packed >> 13) & ((1 << 21) - 1);
    uint32_t z = (uint32_t)(packed >> 34) - high(within, slope - high(within, curve));
    return (int32_t)(sign - (z ^ sign));
}

INLINE int32_t integer(uint32_t w, const pondera_recipe *r, int kind) {
    int32_t z;
    if (kind == CONSTANT) return 1;
    if (kind == SYMMETRIC) return (int32_t)((w ^ 1u << 31) | 1);
    if (kind == INTERVAL) return (int32_t)(r->floor + high(w, r->span));
    if (kind == TRUNCATED) {
        z = normal_quantile(r->floor + high(w, r->span));
        z = z < r->lower ? r->lower : z;
        z = z > r->upper ? r->upper : z;
    } else {
        z = normal_quantile(w);
    }
    return signed_right(z, r->shift) + r->offset;
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

/* 16 numbers of 16 words. */
INLINE void make_numbers(const uint32_t *words, void *to, const pondera_recipe *r, int kind,
                         int format) {
    const float unit = (float)r->unit;
    for (unsigned l = 0; l < 16; l++) {
        int32_t whole = integer(words[l], r, kind);
        float x = (float)whole * unit;
        uint32_t bits = bits_of(x);
        if (format == FLOAT64) ((double *)to)[l] = whole * r->unit;
        if (format == FLOAT32) ((float *)to)[l] = x;
        if (format == BFLOAT16) ((uint16_t *)to)[l] = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        if (format == FLOAT16) ((uint16_t *)to)[l] = to_half(x);
    }
}
