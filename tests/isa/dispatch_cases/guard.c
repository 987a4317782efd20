#include "kernel.h"
int main(int argc, char **argv)
{
    printf("%d\n", __builtin_cpu_supports("avx2") ? wide(argc) : plain(argc));
    return 0;
}
