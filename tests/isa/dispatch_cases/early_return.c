#include "kernel.h"
static PLAIN int work(int n)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2"))
        return plain(n);
    n += wide(n);
    return wide(n) - n;
}
int main(int argc, char **argv) { printf("%d\n", work(argc)); return 0; }
