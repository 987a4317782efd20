/* One inline function for all units: the linker keeps one copy. */
#include <cstdio>
inline __attribute__((noinline)) int mix(const int *a, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * a[i] ^ (a[i] >> 3);
    return sum;
}
int fast(const int *a, int n);
