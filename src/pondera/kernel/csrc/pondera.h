/* What Python hands over, and the functions that every instruction set offers.
 *
 * Field order and types are repeated in records.py, products.py and steps.py; whoever changes one changes all,
 * and PONDERA_ABI here and in library.py with them.
 */
#ifndef PONDERA_H
#define PONDERA_H

#include <stdint.h>

#define PONDERA_ABI 3

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))
#define SHARED static __attribute__((noinline)) /* called from many copies of one loop */

/* The source files are compiled once per instruction set, each with its own suffix. */
#define JOIN_(name, level) name##_##level
#define JOIN(name, level) JOIN_(name, level)
#define AT_LEVEL(name) JOIN(name, LEVEL)

/* ---- draws: core/draw.py is the meaning ---- */

enum { TILE = 256, LANES = 64, MOST_AXES = 32 };
enum { CONSTANT, SYMMETRIC, INTERVAL, NORMAL, TRUNCATED };
enum { FLOAT32, BFLOAT16, FLOAT16, FLOAT64, FORMATS };

INLINE unsigned width_of(int format) { return format == FLOAT64 ? 8 : format == FLOAT32 ? 4 : 2; }

typedef struct {
    uint32_t key[2];  /* seed, low word first */
    uint32_t name[2]; /* hash of the name, low word first */
    uint32_t floor, span;
    int32_t lower, upper;
    int32_t shift, offset;
    int32_t kind, format;
    double unit;
} pondera_recipe;

/* A slice of the logical tensor. The last axis has hop 1. */
typedef struct {
    uint64_t start;            /* logical index of the first element */
    int64_t axes;              /* in [1, MOST_AXES] */
    uint64_t size[MOST_AXES];  /* elements along each axis, at least 1 */
    uint64_t hop[MOST_AXES];   /* from one to the next in the logical tensor */
    int64_t stride[MOST_AXES]; /* from one to the next in memory, in elements */
} pondera_block;

/* C0, slope and curvature of each piece of the normal quantile: 30 + 21 + 13 bits. */
extern const uint64_t pondera_quantile[];

/* ---- products: core/orthogonal.py is the meaning ---- */

/* c -= a b, float32; strides in elements, b and c run along their rows. */
typedef struct {
    float *c;
    const float *a, *b;
    uint64_t rows, depth, columns; /* c: rows x columns, a: rows x depth, b: depth x columns */
    int64_t c_down, a_down, a_along, b_down;
} pondera_product;

/* ---- steps: core/penalties is the meaning of the penalties, torch's fused kernels of the rest ---- */

/* A float32 tensor, or some rows of one, and what the optimizer keeps for it; contiguous. */
typedef struct {
    float *weight, *grad;
    float *first;  /* Adam: mean gradient. SGD: momentum buffer, or NULL */
    float *second; /* Adam: mean squared gradient */
    float *peak;   /* Adam: largest mean squared gradient so far, or NULL without amsgrad */
    uint64_t rows, columns;
    double norm; /* strength of each row's norm, 0 for none */
} pondera_piece;

typedef struct {
    float rest1, beta2, rest2; /* rest = 1 - beta, formed in float64 */
    float lr, step_size; /* step_size = lr / (1 - beta1^t) */
    float root, eps;     /* root = sqrt(1 - beta2^t) */
    float sign;          /* -1 to maximise */
    float decay, keep;   /* coupled decay; 1 - lr * decoupled decay */
    float grad_scale;    /* gradients are divided by it first, in place */
    float l1, twice_l2;
    int32_t young; /* a weight whose second is still 0 has the step lr, not lr / eps */
} pondera_adam;

typedef struct {
    float lr, momentum, rest; /* rest = 1 - dampening */
    float decay, sign, grad_scale;
    float threshold, shrink;  /* step * l1 and 1 + 2 * step * l2 */
    int32_t nesterov, starts; /* starts: the buffer holds nothing yet */
} pondera_sgd;

EXPORT int pondera_abi(void);
EXPORT int pondera_supports(int level); /* 0 plain, 1 AVX2, 2 AVX-512 */

#endif
