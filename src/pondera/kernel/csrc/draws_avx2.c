#define LEVEL avx2
#include "draws_vector.h"
#include "draws.h"
