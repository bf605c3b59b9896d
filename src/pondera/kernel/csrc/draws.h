/* Fill a slice of the logical tensor; included once per instruction set.
 *
 * Whole tiles go straight to memory. What covers a tile only in part (a short row, a stride) is taken
 * from a tile that is made as it is needed, 16 elements at a time and at most once: logical indices
 * only rise along a walk, so neighbouring rows that share a tile find it there.
 */
#include <string.h>

typedef struct {
    uint64_t number;
    uint32_t words_made;   /* a bit per group of 16 lanes */
    uint32_t numbers_made; /* a bit per 16 elements */
    _Alignas(64) uint32_t words[TILE];
    _Alignas(64) char numbers[TILE * sizeof(double)];
} tile_cache;

/* Make what elements from ... to - 1 of a tile need and is not there yet. */
INLINE void need(tile_cache *cache, uint64_t tile, unsigned from, unsigned to,
                 const pondera_recipe *r, int kind, int format) {
    if (cache->number != tile) {
        cache->number = tile;
        cache->words_made = cache->numbers_made = 0;
    }
    unsigned chunk = from / 16, end = (to - 1) / 16 + 1;
    while (chunk < end && cache->numbers_made >> chunk & 1) chunk++;
    while (chunk < end && cache->numbers_made >> (end - 1) & 1) end--;
    if (chunk == end) return;
    for (unsigned i = chunk; i < end; i++) {
        cache->numbers_made |= 1u << i;
        const unsigned group = i % 4;
        if (kind == CONSTANT || cache->words_made >> group & 1) continue;
        make_some_words(cache->words, tile, 16 * group, 16 * group + 16, r);
        cache->words_made |= 1u << group;
    }
    make_numbers(cache->words + 16 * chunk, cache->numbers + 16 * chunk * width_of(format),
                 16 * (end - chunk), r, kind, format);
}

INLINE void spread(char *out, int64_t stride, const char *from, unsigned count, int format) {
    const unsigned width = width_of(format);
    if (stride == 1) {
        memcpy(out, from, (size_t)count * width);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        memcpy(out + (int64_t)i * stride * width, from + i * width, width);
}

/* One run of neighbouring elements. */
INLINE void run(char *out, int64_t stride, uint64_t start, uint64_t count, tile_cache *cache,
                const pondera_recipe *recipe, int kind, int format) {
    const pondera_recipe r = *recipe; /* a copy: stores through `out` cannot change it */
    const unsigned width = width_of(format);
    while (count > 0) {
        const unsigned from = start % TILE;
        uint64_t size = count < TILE - from ? count : TILE - from;
        if (size == TILE && stride == 1) {
            make_tiles(out, start / TILE, count / TILE, &r, kind, format);
            size = count - count % TILE;
        } else {
            need(cache, start / TILE, from, from + (unsigned)size, &r, kind, format);
            spread(out, stride, cache->numbers + from * width, (unsigned)size, format);
        }
        out += (int64_t)size * stride * width;
        start += size;
        count -= size;
    }
}

typedef void (*runner)(char *, int64_t, uint64_t, uint64_t, tile_cache *, const pondera_recipe *);

#define RUNNER(kind, format)                                                              \
    static void run_##kind##_##format(char *out, int64_t stride, uint64_t start,          \
                                      uint64_t count, tile_cache *cache,                  \
                                      const pondera_recipe *recipe) {                     \
        run(out, stride, start, count, cache, recipe, kind, format);                      \
    }
#define RUNNERS(kind) RUNNER(kind, FLOAT32) RUNNER(kind, BFLOAT16) RUNNER(kind, FLOAT16) RUNNER(kind, FLOAT64)
RUNNERS(CONSTANT) RUNNERS(SYMMETRIC) RUNNERS(INTERVAL) RUNNERS(NORMAL) RUNNERS(TRUNCATED)

#define ROW(kind) {run_##kind##_FLOAT32, run_##kind##_BFLOAT16, run_##kind##_FLOAT16, run_##kind##_FLOAT64}
static const runner runners[][FORMATS] = {ROW(CONSTANT), ROW(SYMMETRIC), ROW(INTERVAL), ROW(NORMAL),
                                          ROW(TRUNCATED)};

EXPORT void AT_LEVEL(pondera_draw)(void *to, const pondera_block *block, const pondera_recipe *r) {
    const runner run_one = runners[r->kind][r->format];
    const int64_t width = width_of(r->format), last = block->axes - 1;
    uint64_t at[MOST_AXES] = {0}, start = block->start;
    tile_cache cache;
    cache.number = UINT64_MAX; /* no tile has it: there are 2^56 */
    char *out = to;

    for (int64_t axis = 0; axis >= 0;) {
        run_one(out, block->stride[last], start, block->size[last], &cache, r);
        for (axis = last - 1; axis >= 0; axis--) { /* on to the next run, as an odometer counts */
            start += block->hop[axis];
            out += block->stride[axis] * width;
            if (++at[axis] < block->size[axis]) break;
            start -= block->size[axis] * block->hop[axis];
            out -= (int64_t)block->size[axis] * block->stride[axis] * width;
            at[axis] = 0;
        }
    }
}
