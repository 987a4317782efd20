#include <stdio.h>
#ifndef __clang__
__attribute__((noinline))
#endif
__attribute__((target_clones("avx2", "default"))) int dot(const int *a, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * a[i];
    return sum;
}
int main(int argc, char **argv)
{
    int a[64];
    for (int i = 0; i < 64; i++)
        a[i] = i + argc;
    printf("%d\n", dot(a, 64));
    return 0;
}
