#define LEVEL avx2
#include "steps.h"
