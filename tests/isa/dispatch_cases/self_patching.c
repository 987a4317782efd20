#include "kernel.h"
static int first(int n);
static int (*volatile work)(int) = first;
static PLAIN int first(int n)
{
    work = __builtin_cpu_supports("avx2") ? wide : plain;
    return work(n);
}
int main(int argc, char **argv) { printf("%d\n", work(argc) + work(argc)); return 0; }
