/* A function that asks CPUID fills words it is given; another sets a bit the user asked for. */
#include "kernel.h"
#include <cpuid.h>
static unsigned words[4];
static PLAIN void fill(unsigned *w)
{
    __cpuid_count(7, 0, w[0], w[1], w[2], w[3]);
}
static PLAIN void change(unsigned *w, int argc)
{
    if (argc > 1)
        w[1] |= 1 << 5;
}
int main(int argc, char **argv)
{
    fill(words);
    change(words, argc);
    printf("%d\n", words[1] & 1 << 5 ? wide(argc) : plain(argc));
    return 0;
}
