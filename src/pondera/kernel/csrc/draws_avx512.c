#define LEVEL avx512
#include "draws_vector.h"
#include "draws.h"
