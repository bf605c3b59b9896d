/* Prox of a row's norm in a diagonal metric; the meaning is core/penalties/grouped.py.
 *
 *     argmin_x sum((x - z)^2 / (2 * step)) + norm * |x|,   c = step * norm
 *
 * is 0 where sum((z / c)^2) <= 1, else z * s / (s + c) with s = |x| the root of
 * sum((z / (s + c))^2) = 1. That sum to the power -1/2 is concave in s and nearly a line: Newton's
 * method on it lands left of the root from either side, and from the row's norm before the step
 * it needs one or two turns.
 */
#include <math.h>
#include <string.h>

#include "pondera.h"

/* 16 floats, whatever the width of the machine's vectors: sums are the same at all levels. */
typedef float lanes __attribute__((vector_size(64)));
enum { BESIDE = 16, STRETCH = 512 }; /* STRETCH: summed in float32, then added in float64 */

typedef struct {
    double total, slope; /* sum of r^2 and of r^2 / (s + c), r = z / (s + c) */
} secular;

INLINE double sum_of(lanes x) {
    double sum = 0;
    for (int i = 0; i < BESIDE; i++) sum += x[i];
    return sum;
}

/* Up to 16 floats, the rest filled up. */
INLINE lanes some(const float *from, uint64_t count, float filling) {
    lanes x;
    if (count >= BESIDE) {
        memcpy(&x, from, sizeof x);
        return x;
    }
    for (uint64_t i = 0; i < BESIDE; i++) x[i] = i < count ? from[i] : filling;
    return x;
}

static secular secular_at(const float *z, const float *c, uint64_t count, float s) {
    secular sums = {0, 0};
    for (uint64_t i = 0; i < count;) {
        uint64_t end = count - i < STRETCH ? count : i + STRETCH;
        lanes total = {0}, slope = {0};
        for (; i < end; i += BESIDE) {
            lanes inverse = 1.0f / (s + some(c + i, end - i, 1.0f));
            lanes ratio = some(z + i, end - i, 0.0f) * inverse;
            lanes square = ratio * ratio;
            total += square;
            slope += square * inverse;
        }
        i = end;
        sums.total += sum_of(total);
        sums.slope += sum_of(slope);
    }
    return sums;
}

static double norm_of(const float *x, uint64_t count) {
    double sum = 0;
    for (uint64_t i = 0; i < count;) {
        uint64_t end = count - i < STRETCH ? count : i + STRETCH;
        lanes squares = {0};
        for (; i < end; i += BESIDE) {
            lanes part = some(x + i, end - i, 0.0f);
            squares += part * part;
        }
        i = end;
        sum += sum_of(squares);
    }
    return sqrt(sum);
}

/* From a point right of the root Newton's point is a difference that may cancel, or be negative. */
INLINE double newton(secular at) { return at.total * (sqrt(at.total) - 1) / at.slope; }

/* The root of a row that does not die; `guess` is any number, good if near. */
static double secular_root(const float *z, const float *c, uint64_t count, secular at_zero,
                           double guess) {
    double low = newton(at_zero), high = INFINITY; /* low from s = 0: never right of the root */
    if (!(low > 0 && isfinite(low))) low = 0;      /* the sums at 0 overflowed */
    double s = guess > low && isfinite(guess) ? guess : low > 0 ? low : norm_of(z, count);
    for (int turn = 1; turn < 64; turn++) {
        secular at = secular_at(z, c, count, (float)s);
        double next = s + newton(at);
        if (fabs(next - s) <= 1e-4 * s) return next; /* the error left is the square of that */
        if (at.total < 1)
            high = s;
        else
            low = s;
        if (turn % 4 == 0 && isfinite(high)) next = sqrt(low * high); /* shifts of many magnitudes */
        s = next > low && next < high ? next : low > 0 ? sqrt(low * high) : high / 8;
    }
    return s;
}

/* Prox of norm * |row|, in place; c holds each weight's step times norm. */
static void shrink_row(float *z, const float *c, uint64_t count, double guess) {
    secular at_zero = secular_at(z, c, count, 0.0f);
    if (at_zero.total <= 1) { /* -gradient lies in the ball of the row's subdifferential at 0 */
        memset(z, 0, count * sizeof *z);
        return;
    }
    if (isnan(at_zero.total)) return; /* a NaN in the row: left as it is, to be seen */
    float s = (float)secular_root(z, c, count, at_zero, guess);
    for (uint64_t i = 0; i < count; i++) z[i] = z[i] * (s / (s + c[i]));
}
