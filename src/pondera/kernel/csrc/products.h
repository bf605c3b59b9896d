/* c -= a b in float32: the large products of core/orthogonal.py; included once per instruction set.
 *
 * Blocks of a and b are copied into panels that the innermost loop reads in order, a tile of c is kept in
 * registers while the depth of a block is run through. Each element is c minus one sum per DEPTH of the
 * inner index, each sum in rising order by fused multiply-adds: no bit depends on the instruction set, on the
 * number of threads or on how c is cut into columns.
 */
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "pondera.h"

#if defined(__AVX512F__)
typedef __m512 floats;
enum { FLOATS = 16, HIGH = 14 };
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define ALL _mm512_set1_ps
#define FMA _mm512_fmadd_ps
#define SUBTRACT _mm512_sub_ps
#else
typedef __m256 floats;
enum { FLOATS = 8, HIGH = 6 };
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define ALL _mm256_set1_ps
#define FMA _mm256_fmadd_ps
#define SUBTRACT _mm256_sub_ps
#endif

enum { WIDE = 2 * FLOATS };                    /* a tile of c is HIGH x WIDE */
enum { DEPTH = 256, ROWS = 16 * HIGH, COLUMNS = 512 }; /* a block of a is ROWS x DEPTH, one of b DEPTH x COLUMNS */

INLINE uint64_t least(uint64_t x, uint64_t y) { return x < y ? x : y; }

/* Columns of b side by side, WIDE at a time; zeros beyond the last. Read along its rows, as they lie. */
static void pack_b(float *to, const float *b, int64_t stride, uint64_t depth, uint64_t columns) {
    for (uint64_t p = 0; p < depth; p++, b += stride)
        for (uint64_t j = 0; j < columns; j += WIDE) {
            float *panel = to + j * depth + p * WIDE;
            const uint64_t some = least(WIDE, columns - j);
            if (some == WIDE) {
                STORE(panel, LOAD(b + j));
                STORE(panel + FLOATS, LOAD(b + j + FLOATS));
            } else {
                memset(panel, 0, WIDE * sizeof(float));
                memcpy(panel, b + j, some * sizeof(float));
            }
        }
}

/* Rows of a one above the other, HIGH at a time; zeros below the last. */
static void pack_a(float *to, const float *a, int64_t down, int64_t along, uint64_t rows, uint64_t depth) {
    for (uint64_t i = 0; i < rows; i += HIGH, to += depth * HIGH) {
        const uint64_t some = least(HIGH, rows - i);
        if (some < HIGH) memset(to, 0, depth * HIGH * sizeof(float));
        const float *from = a + (int64_t)i * down;
        if (down == 1)
            for (uint64_t p = 0; p < depth; p++)
                for (uint64_t h = 0; h < some; h++) to[p * HIGH + h] = from[(int64_t)p * along + h];
        else
            for (uint64_t h = 0; h < some; h++)
                for (uint64_t p = 0; p < depth; p++)
                    to[p * HIGH + h] = from[(int64_t)h * down + (int64_t)p * along];
    }
}

/* A whole tile: c -= the sum over the depth. */
static void tile(float *c, int64_t stride, const float *a, const float *b, uint64_t depth) {
    floats sum[HIGH][2];
#pragma GCC unroll 14
    for (unsigned h = 0; h < HIGH; h++) sum[h][0] = sum[h][1] = ALL(0.0f);
    for (uint64_t p = 0; p < depth; p++, a += HIGH, b += WIDE) {
        const floats left = LOAD(b), right = LOAD(b + FLOATS);
#pragma GCC unroll 14
        for (unsigned h = 0; h < HIGH; h++) {
            const floats x = ALL(a[h]);
            sum[h][0] = FMA(x, left, sum[h][0]);
            sum[h][1] = FMA(x, right, sum[h][1]);
        }
    }
#pragma GCC unroll 14
    for (unsigned h = 0; h < HIGH; h++, c += stride) {
        STORE(c, SUBTRACT(LOAD(c), sum[h][0]));
        STORE(c + FLOATS, SUBTRACT(LOAD(c + FLOATS), sum[h][1]));
    }
}

/* A tile at the border of c, by way of a whole one. */
static void part_of_tile(float *c, int64_t stride, const float *a, const float *b, uint64_t depth,
                         uint64_t rows, uint64_t columns) {
    float whole[HIGH * WIDE] = {0};
    for (uint64_t h = 0; h < rows; h++)
        memcpy(whole + h * WIDE, c + (int64_t)h * stride, columns * sizeof(float));
    tile(whole, WIDE, a, b, depth);
    for (uint64_t h = 0; h < rows; h++)
        memcpy(c + (int64_t)h * stride, whole + h * WIDE, columns * sizeof(float));
}

/* A block of c minus a packed block of a times one of b. */
static void block(float *c, int64_t stride, const float *a, const float *b, uint64_t rows,
                  uint64_t depth, uint64_t columns) {
    for (uint64_t j = 0; j < columns; j += WIDE)
        for (uint64_t i = 0; i < rows; i += HIGH) {
            const uint64_t high = least(HIGH, rows - i), wide = least(WIDE, columns - j);
            float *to = c + (int64_t)i * stride + j;
            if (high == HIGH && wide == WIDE)
                tile(to, stride, a + i * depth, b + j * depth, depth);
            else
                part_of_tile(to, stride, a + i * depth, b + j * depth, depth, high, wide);
        }
}

EXPORT int AT_LEVEL(pondera_subtract)(const pondera_product *x) {
    float *b = aligned_alloc(64, DEPTH * (COLUMNS + WIDE) * sizeof(float));
    float *a = aligned_alloc(64, DEPTH * ROWS * sizeof(float));
    const int made = a && b;
    for (uint64_t j = 0; made && j < x->columns; j += COLUMNS)
        for (uint64_t p = 0; p < x->depth; p += DEPTH) {
            const uint64_t columns = least(COLUMNS, x->columns - j), depth = least(DEPTH, x->depth - p);
            pack_b(b, x->b + (int64_t)p * x->b_down + j, x->b_down, depth, columns);
            for (uint64_t i = 0; i < x->rows; i += ROWS) {
                const uint64_t rows = least(ROWS, x->rows - i);
                pack_a(a, x->a + (int64_t)i * x->a_down + (int64_t)p * x->a_along, x->a_down,
                       x->a_along, rows, depth);
                block(x->c + (int64_t)i * x->c_down + j, x->c_down, a, b, rows, depth, columns);
            }
        }
    free(a);
    free(b);
    return made;
}
