#include <stdio.h>
#include <sys/auxv.h>
__attribute__((noinline)) static long add(long *p, long n)
{
    __asm__ volatile(".arch armv8.1-a\n\tldaddal %0, %0, [%1]" : "+r"(n) : "r"(p) : "memory");
    return n;
}
__attribute__((noinline)) static long plain(long *p, long n) { *p += n; return *p; }
int main(int argc, char **argv)
{
    long x = 1;
    long r = getauxval(AT_HWCAP) & (1 << 8) ? add(&x, argc) : plain(&x, argc);
    printf("%ld %ld\n", x, r - r);
    return 0;
}
