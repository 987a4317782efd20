#include "kernel.h"
#include <cpuid.h>
enum { HAS_AVX = 1, HAS_AVX2 = 2, HAS_BMI = 4 };
static unsigned flags;
static void detect(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_AVX) && (c & bit_OSXSAVE))
        flags |= HAS_AVX;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        if ((b & bit_AVX2) && (flags & HAS_AVX))
            flags |= HAS_AVX2;
        if (b & bit_BMI)
            flags |= HAS_BMI;
    }
}
int main(int argc, char **argv)
{
    detect();
    printf("%d\n", flags & HAS_AVX2 ? wide(argc) : plain(argc));
    return 0;
}
