#include <stdio.h>
#include <sys/auxv.h>
__attribute__((noinline)) static int wide(int n)
{
    long bytes;
    __asm__ volatile(".arch armv8.2-a+sve\n\tcntb %0" : "=r"(bytes));
    return n + (bytes > 0);
}
static int plain(int n) { return n + 1; }
static int (*resolve(unsigned long hwcap))(int) { return hwcap & (1ul << 22) ? wide : plain; }
int work(int) __attribute__((ifunc("resolve")));
int main(int argc, char **argv) { printf("%d\n", work(argc)); return 0; }
