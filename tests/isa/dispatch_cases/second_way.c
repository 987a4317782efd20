/* One way is guarded, another is not. */
#include "kernel.h"
static PLAIN int guarded(int n) { return __builtin_cpu_supports("avx2") ? wide(n) : plain(n); }
static PLAIN int open_way(int n) { return wide(n) + 1; }
int main(int argc, char **argv)
{
    printf("%d\n", argc > 1 ? open_way(argc) : guarded(argc));
    return 0;
}
