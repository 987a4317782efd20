#include "shared.hh"
int main(int argc, char **argv)
{
    int a[64];
    for (int i = 0; i < 64; i++)
        a[i] = i + argc;
    int n = 64;
    __builtin_cpu_init();
    printf("%d\n", __builtin_cpu_supports("avx2") ? fast(a, n) : mix(a, n) + 1);
    return 0;
}
