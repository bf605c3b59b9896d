/* Optimizer steps and penalties in one pass over memory; included once per instruction set.
 *
 * Plain loops that every compiler vectorises, each operation one IEEE operation in a fixed order: that of
 * torch's fused kernels, so that a step without a penalty gives their bits.
 */
#include <math.h>
#include <stdlib.h>

#include "pondera.h"
#include "rows.h"

enum { BLOCK = 1024 }; /* elements that stay in the first-level cache between two loops */
#define TINY 1e-30f    /* instead of a step that underflowed: no 0/0 below */

INLINE uint64_t least(uint64_t x, uint64_t y) { return x < y ? x : y; }

/* x without its part in [-threshold, threshold]: core/penalties/elementwise.py; NaN stays NaN. */
INLINE float soft(float x, float threshold) {
    float part = x < threshold ? x : threshold;
    return x - (part > -threshold ? part : -threshold);
}

/* z + x * y, rounded once. Without an instruction for it the product is exact in float64, and the sum is
 * rounded a second time in less than one of 10^8 cases. */
INLINE float plus_product(float z, float x, float y) {
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(x, y, z);
#else
    return (float)(z + (double)x * y);
#endif
}

INLINE void unscale(float *grad, uint64_t count, float grad_scale) {
    for (uint64_t i = 0; i < count; i++) grad[i] = grad[i] / grad_scale;
}

/* ---- Adam and AdamW, and their metric ---- */

/* Some weights' step (unless not `moves`) and element-wise prox. `shifts`, unless NULL, receives each
 * weight's own step times `norm`. */
INLINE void adam_block(float *restrict weight, const float *restrict grad, float *restrict first,
                       float *restrict second, float *restrict peak, float *restrict shifts,
                       float norm, uint64_t count, const pondera_adam *rule, int moves,
                       int amsgrad, int elastic) {
    const pondera_adam o = *rule;
    const int forgets = o.rest1 >= 0.5f;
    const float blend = forgets ? o.rest1 - 1.0f : o.rest1;
    const float still = o.young ? o.lr : o.lr / o.eps; /* step of a weight without any gradient so far */
    for (uint64_t i = 0; i < count; i++) {
        float z = weight[i], m = 0.0f, v = second[i];
        if (moves) {
            float g = plus_product(o.sign * grad[i], z, o.decay);
            float base = forgets ? g : first[i]; /* interpolate from the nearer end, as torch does */
            first[i] = m = plus_product(base, blend, g - first[i]);
            second[i] = v = plus_product(v * o.beta2, o.rest2 * g, g);
        }
        if (amsgrad) {
            v = peak[i] > v ? peak[i] : v;
            if (moves) peak[i] = v;
        }
        float denominator = sqrtf(v) / o.root + o.eps;
        float step = o.lr / denominator; /* of an average gradient: without 1 / (1 - beta1^t) */
        step = v == 0.0f ? still : step;
        if (moves) z = z * o.keep - o.step_size * m / denominator;
        z = soft(z, step * o.l1);
        if (elastic) z = z / (1.0f + step * o.twice_l2);
        if (shifts) shifts[i] = step * norm > TINY ? step * norm : TINY;
        weight[i] = z;
    }
}

INLINE void adam_part(const pondera_piece *p, uint64_t at, uint64_t count, float *shifts,
                      const pondera_adam *o, int moves) {
    float *w = p->weight + at, *v = p->second + at, *peak = p->peak ? p->peak + at : NULL;
    float *g = moves ? p->grad + at : NULL, *m = moves ? p->first + at : NULL;
    float norm = (float)p->norm;
    if (moves && o->grad_scale != 1.0f) unscale(g, count, o->grad_scale);
    if (peak)
        adam_block(w, g, m, v, peak, shifts, norm, count, o, moves, 1, 1);
    else if (o->twice_l2 != 0.0f)
        adam_block(w, g, m, v, NULL, shifts, norm, count, o, moves, 0, 1);
    else
        adam_block(w, g, m, v, NULL, shifts, norm, count, o, moves, 0, 0);
}

/* As many whole rows at a time as fill a block, at least one. False: no memory. */
INLINE int adam_rows(const pondera_piece *p, const pondera_adam *o, int moves) {
    const uint64_t columns = p->columns;
    const uint64_t together = columns < BLOCK ? BLOCK / columns : 1;
    double before[BLOCK]; /* norms: where Newton starts */
    float *shifts = malloc(together * columns * sizeof *shifts);
    if (shifts == NULL) return 0;
    for (uint64_t row = 0; row < p->rows; row += together) {
        const uint64_t rows = least(together, p->rows - row), length = rows * columns;
        float *z = p->weight + row * columns;
        for (uint64_t i = 0; i < rows; i++) before[i] = norm_of(z + i * columns, columns);
        for (uint64_t at = 0; at < length; at += BLOCK)
            adam_part(p, row * columns + at, least(BLOCK, length - at), shifts + at, o, moves);
        for (uint64_t i = 0; i < rows; i++)
            shrink_row(z + i * columns, shifts + i * columns, columns, before[i]);
    }
    free(shifts);
    return 1;
}

INLINE int adam(const pondera_piece *pieces, uint64_t count, const pondera_adam *o, int moves) {
    for (const pondera_piece *p = pieces; p < pieces + count; p++) {
        const uint64_t n = p->rows * p->columns;
        if (n > 0 && p->norm > 0) {
            if (!adam_rows(p, o, moves)) return 0;
            continue;
        }
        for (uint64_t at = 0; at < n; at += BLOCK)
            adam_part(p, at, least(BLOCK, n - at), NULL, o, moves);
    }
    return 1;
}

EXPORT int AT_LEVEL(pondera_adam_step)(const pondera_piece *pieces, uint64_t count,
                                       const pondera_adam *o) {
    return adam(pieces, count, o, 1);
}

/* The prox alone, after a step that some other code took. */
EXPORT int AT_LEVEL(pondera_adam_prox)(const pondera_piece *pieces, uint64_t count,
                                       const pondera_adam *o) {
    return adam(pieces, count, o, 0);
}

/* ---- SGD ---- */

INLINE void sgd_block(float *restrict weight, const float *restrict grad, float *restrict buffer,
                      uint64_t count, const pondera_sgd *rule, int moves, int momentum) {
    const pondera_sgd o = *rule;
    for (uint64_t i = 0; i < count; i++) {
        float z = weight[i];
        if (moves) {
            float g = plus_product(o.sign * grad[i], z, o.decay);
            if (momentum) {
                float m = o.starts ? g : plus_product(buffer[i] * o.momentum, g, o.rest);
                buffer[i] = m;
                g = o.nesterov ? plus_product(g, m, o.momentum) : m;
            }
            z = plus_product(z, g, -o.lr);
        }
        weight[i] = soft(z, o.threshold) / o.shrink;
    }
}

INLINE void sgd(const pondera_piece *pieces, uint64_t count, const pondera_sgd *o, int moves) {
    for (const pondera_piece *p = pieces; p < pieces + count; p++) {
        const uint64_t n = p->rows * p->columns;
        for (uint64_t at = 0; at < n; at += BLOCK) {
            const uint64_t part = least(BLOCK, n - at);
            float *w = p->weight + at, *g = moves ? p->grad + at : NULL;
            if (moves && o->grad_scale != 1.0f) unscale(g, part, o->grad_scale);
            if (moves && p->first)
                sgd_block(w, g, p->first + at, part, o, moves, 1);
            else
                sgd_block(w, g, NULL, part, o, moves, 0);
        }
    }
}

EXPORT int AT_LEVEL(pondera_sgd_step)(const pondera_piece *pieces, uint64_t count,
                                      const pondera_sgd *o) {
    sgd(pieces, count, o, 1);
    return 1;
}

/* The prox alone: one step for all weights. */
EXPORT int AT_LEVEL(pondera_sgd_prox)(const pondera_piece *pieces, uint64_t count,
                                      const pondera_sgd *o) {
    sgd(pieces, count, o, 0);
    return 1;
}
