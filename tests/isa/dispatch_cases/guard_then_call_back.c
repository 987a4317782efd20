/* The address is passed on with the guard passed, and called elsewhere. */
#include "kernel.h"
static PLAIN int apply(int (*f)(int), int n) { return f(n) + 1; }
int main(int argc, char **argv)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        printf("%d\n", apply(wide, argc));
    else
        printf("%d\n", apply(plain, argc));
    return 0;
}
