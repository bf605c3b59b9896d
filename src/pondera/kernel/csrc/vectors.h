/* The few vector operations that draws need, under one name for AVX-512 and AVX2.
 *
 * A `vec` holds WIDTH 32-bit integers. Products are 32 x 32 -> 64 bits of its even lanes: Philox stays
 * in 64-bit lanes throughout, because moving words between lanes costs more than the idle halves.
 */
#ifndef PONDERA_VECTORS_H
#define PONDERA_VECTORS_H

#include <immintrin.h>

#include "pondera.h"

#if defined(__AVX512F__)

typedef __m512i vec;
enum { WIDTH = 16 };

INLINE vec load(const void *from) { return _mm512_loadu_si512(from); }
INLINE void store(void *to, vec x) { _mm512_storeu_si512(to, x); }
INLINE vec all32(uint32_t x) { return _mm512_set1_epi32((int)x); }
INLINE vec all64(uint64_t x) { return _mm512_set1_epi64((long long)x); }
INLINE vec count64(void) { return _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0); }

INLINE vec product(vec x, vec y) { return _mm512_mul_epu32(x, y); }
INLINE vec add32(vec x, vec y) { return _mm512_add_epi32(x, y); }
INLINE vec sub32(vec x, vec y) { return _mm512_sub_epi32(x, y); }
INLINE vec add64(vec x, vec y) { return _mm512_add_epi64(x, y); }
INLINE vec sub64(vec x, vec y) { return _mm512_sub_epi64(x, y); }
INLINE vec and(vec x, vec y) { return _mm512_and_si512(x, y); }
INLINE vec or(vec x, vec y) { return _mm512_or_si512(x, y); }
INLINE vec xor(vec x, vec y) { return _mm512_xor_si512(x, y); }
INLINE vec xor3(vec x, vec y, vec z) { return _mm512_ternarylogic_epi64(x, y, z, 0x96); }
INLINE vec min32(vec x, vec y) { return _mm512_min_epi32(x, y); }
INLINE vec max32(vec x, vec y) { return _mm512_max_epi32(x, y); }
INLINE vec left32(vec x, int n) { return _mm512_slli_epi32(x, (unsigned)n); }
INLINE vec right32(vec x, int n) { return _mm512_srli_epi32(x, (unsigned)n); }
INLINE vec right64(vec x, int n) { return _mm512_srli_epi64(x, (unsigned)n); }
INLINE vec signed_right32(vec x, int n) { return _mm512_sra_epi32(x, _mm_cvtsi32_si128(n)); }

/* Even lanes of x, odd lanes of y. */
INLINE vec even_odd(vec x, vec y) { return _mm512_mask_blend_epi32(0xAAAA, x, y); }
/* Even lanes of x, then even lanes of y. */
INLINE vec evens(vec x, vec y) {
    vec which = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_permutex2var_epi32(x, which, y);
}

INLINE vec widen(const uint32_t *from) { /* to 64-bit lanes */
    return _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)from));
}
INLINE vec to_float(vec x) { return _mm512_castps_si512(_mm512_cvtepi32_ps(x)); }
INLINE vec times_float(vec x, float unit) {
    return _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(x), _mm512_set1_ps(unit)));
}
INLINE void store_low16(void *to, vec x) { _mm256_storeu_si256(to, _mm512_cvtepi32_epi16(x)); }
INLINE void store_half(void *to, vec x) {
    __m512 number = _mm512_castsi512_ps(x);
    _mm256_storeu_si256(to, _mm512_cvtps_ph(number, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void store_double(double *to, vec x, double unit) {
    __m512d factor = _mm512_set1_pd(unit);
    __m512d low = _mm512_cvtepi32_pd(_mm512_castsi512_si256(x));
    __m512d high = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(x, 1));
    _mm512_storeu_pd(to, _mm512_mul_pd(low, factor));
    _mm512_storeu_pd(to + 8, _mm512_mul_pd(high, factor));
}

#else

typedef __m256i vec;
enum { WIDTH = 8 };

INLINE vec load(const void *from) { return _mm256_loadu_si256(from); }
INLINE void store(void *to, vec x) { _mm256_storeu_si256(to, x); }
INLINE vec all32(uint32_t x) { return _mm256_set1_epi32((int)x); }
INLINE vec all64(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
INLINE vec count64(void) { return _mm256_set_epi64x(3, 2, 1, 0); }

INLINE vec product(vec x, vec y) { return _mm256_mul_epu32(x, y); }
INLINE vec add32(vec x, vec y) { return _mm256_add_epi32(x, y); }
INLINE vec sub32(vec x, vec y) { return _mm256_sub_epi32(x, y); }
INLINE vec add64(vec x, vec y) { return _mm256_add_epi64(x, y); }
INLINE vec sub64(vec x, vec y) { return _mm256_sub_epi64(x, y); }
INLINE vec and(vec x, vec y) { return _mm256_and_si256(x, y); }
INLINE vec or(vec x, vec y) { return _mm256_or_si256(x, y); }
INLINE vec xor(vec x, vec y) { return _mm256_xor_si256(x, y); }
INLINE vec xor3(vec x, vec y, vec z) { return xor(xor(x, y), z); }
INLINE vec min32(vec x, vec y) { return _mm256_min_epi32(x, y); }
INLINE vec max32(vec x, vec y) { return _mm256_max_epi32(x, y); }
INLINE vec left32(vec x, int n) { return _mm256_slli_epi32(x, n); }
INLINE vec right32(vec x, int n) { return _mm256_srli_epi32(x, n); }
INLINE vec right64(vec x, int n) { return _mm256_srli_epi64(x, n); }
INLINE vec signed_right32(vec x, int n) { return _mm256_sra_epi32(x, _mm_cvtsi32_si128(n)); }

INLINE vec even_odd(vec x, vec y) { return _mm256_blend_epi32(x, y, 0xAA); }
INLINE vec evens(vec x, vec y) {
    __m256 mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(x), _mm256_castsi256_ps(y), 0x88);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xD8);
}

INLINE vec widen(const uint32_t *from) {
    return _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)from));
}
INLINE vec to_float(vec x) { return _mm256_castps_si256(_mm256_cvtepi32_ps(x)); }
INLINE vec times_float(vec x, float unit) {
    return _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(x), _mm256_set1_ps(unit)));
}
INLINE void store_low16(void *to, vec x) {
    vec low = and(x, all32(0xFFFF)); /* the packing saturates */
    vec packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0xD8);
    _mm_storeu_si128(to, _mm256_castsi256_si128(packed));
}
INLINE void store_half(void *to, vec x) {
    __m256 number = _mm256_castsi256_ps(x);
    _mm_storeu_si128(to, _mm256_cvtps_ph(number, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void store_double(double *to, vec x, double unit) {
    __m256d factor = _mm256_set1_pd(unit);
    __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(x));
    __m256d high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(x, 1));
    _mm256_storeu_pd(to, _mm256_mul_pd(low, factor));
    _mm256_storeu_pd(to + 4, _mm256_mul_pd(high, factor));
}

#endif
#endif
