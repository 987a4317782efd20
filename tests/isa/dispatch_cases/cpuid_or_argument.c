/* The word is made of what CPUID answers and of what the user says. */
#include "kernel.h"
#include <cpuid.h>
static volatile int use;
static PLAIN int work(int n) { return use ? wide(n) : plain(n); }
int main(int argc, char **argv)
{
    unsigned a, b, c, d;
    __cpuid_count(7, 0, a, b, c, d);
    use = argc > 1 ? argc : (b >> 5 & 1);
    printf("%d\n", work(argc));
    return 0;
}
