/* The guard is the wrong way round. */
#include "kernel.h"
int main(int argc, char **argv)
{
    printf("%d\n", __builtin_cpu_supports("avx2") ? plain(argc) : wide(argc));
    return 0;
}
