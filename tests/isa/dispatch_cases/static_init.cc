#include "kernel.h"
static bool ask() { __builtin_cpu_init(); return __builtin_cpu_supports("avx2"); }
static const bool have = ask();
int main(int argc, char **argv) { printf("%d\n", have ? wide(argc) : plain(argc)); return 0; }
