#include "kernel.h"
#include <cpuid.h>
static int has_avx2(void)
{
    unsigned a, b, c, d, lo, hi;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    if ((lo & 6) != 6)
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}
static int (*resolve(void))(int) { return has_avx2() ? wide : plain; }
int work(int) __attribute__((ifunc("resolve")));
int main(int argc, char **argv) { printf("%d\n", work(argc)); return 0; }
