#include "shared.hh"
int fast(const int *a, int n) { return mix(a, n) + 1; }
