#define LEVEL avx2
#include "products.h"
