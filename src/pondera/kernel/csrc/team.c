/* Pieces of one step on the threads of a team that somebody else keeps: see kernel/team.py. */
#include "pondera.h"

typedef int (*stepper)(const pondera_piece *, uint64_t, const void *);
typedef void (*spreader)(void (*)(void *), void *, unsigned, unsigned); /* of GOMP_parallel */

typedef struct {
    stepper step;
    const pondera_piece *pieces;
    uint64_t count, next;
    const void *rule;
    int failed;
} job;

/* Take one piece after the other until there are no more; every thread of the team does. */
static void drain(void *given) {
    job *j = given;
    for (;;) {
        const uint64_t at = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED);
        if (at >= j->count) return;
        if (!j->step(j->pieces + at, 1, j->rule)) __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    }
}

EXPORT int pondera_together(spreader spread, unsigned threads, stepper step,
                            const pondera_piece *pieces, uint64_t count, const void *rule) {
    job j = {.step = step, .pieces = pieces, .count = count, .rule = rule};
    spread(drain, &j, threads, 0); /* returns when all have */
    return !j.failed;
}
