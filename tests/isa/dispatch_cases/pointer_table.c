#include "kernel.h"
static struct { int (*work)(int); int (*other)(int); } table = {plain, plain};
__attribute__((constructor)) static void fill(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        table.work = wide;
        table.other = wide;
    }
}
int main(int argc, char **argv) { printf("%d\n", table.work(argc) + table.other(argc)); return 0; }
