#include "kernel.h"
struct features { int avx2, other; };
static struct features have;
static PLAIN void detect(struct features *f)
{
    __builtin_cpu_init();
    f->avx2 = __builtin_cpu_supports("avx2") != 0;
    f->other = 1;
}
int main(int argc, char **argv)
{
    detect(&have);
    printf("%d\n", have.avx2 ? wide(argc) : plain(argc));
    return 0;
}
