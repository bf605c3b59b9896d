/* What this machine can run. Which of it does run is Python's choice: library.py. */
#include "pondera.h"

int pondera_abi(void) { return PONDERA_ABI; }

int pondera_supports(int level) {
    if (level == 0) return 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    /* Every processor with avx2 and fma converts float16 too; not all compilers know "f16c". */
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (level == 1) return avx2;
    if (level == 2)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return 0;
}
