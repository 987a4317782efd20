/* Asks for AVX and uses AVX2: dies on the processors between. */
#include "kernel.h"
int main(int argc, char **argv)
{
    printf("%d\n", __builtin_cpu_supports("avx") ? wide(argc) : plain(argc));
    return 0;
}
