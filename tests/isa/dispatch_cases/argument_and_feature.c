#include "kernel.h"
int main(int argc, char **argv)
{
    int use = argc > 1 && __builtin_cpu_supports("avx2");
    printf("%d\n", use ? wide(argc) : plain(argc));
    return 0;
}
