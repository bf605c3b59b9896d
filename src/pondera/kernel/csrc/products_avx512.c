#define LEVEL avx512
#include "products.h"
