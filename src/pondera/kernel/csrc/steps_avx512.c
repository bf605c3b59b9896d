#define LEVEL avx512
#include "steps.h"
