#define LEVEL plain
#include "draws_scalar.h"
#include "draws.h"
