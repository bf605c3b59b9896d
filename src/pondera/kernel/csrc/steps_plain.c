#define LEVEL plain
#include "steps.h"
