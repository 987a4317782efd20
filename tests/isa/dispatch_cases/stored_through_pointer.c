/* The word is written through a pointer that a function was given. */
#include "kernel.h"
struct features { int avx2, other; };
static struct features have;
static PLAIN void detect(struct features *f)
{
    __builtin_cpu_init();
    f->avx2 = __builtin_cpu_supports("avx2") != 0;
    f->other = 1;
}
static PLAIN void ask_user(struct features *f, int argc)
{
    if (argc > 1)
        f->avx2 = 1;
}
int main(int argc, char **argv)
{
    detect(&have);
    ask_user(&have, argc);
    printf("%d\n", have.avx2 ? wide(argc) : plain(argc));
    return 0;
}
