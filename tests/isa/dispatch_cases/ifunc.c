#include "kernel.h"
static int (*resolve(void))(int)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? wide : plain;
}
int work(int) __attribute__((ifunc("resolve")));
int main(int argc, char **argv) { printf("%d\n", work(argc)); return 0; }
