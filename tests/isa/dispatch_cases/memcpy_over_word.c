/* The whole structure is replaced by one the user chose. */
#include "kernel.h"
#include <string.h>
struct features { int avx2, other; };
static struct features have;
static const struct features every = {1, 1};
__attribute__((constructor)) static void fill(void)
{
    __builtin_cpu_init();
    have.avx2 = __builtin_cpu_supports("avx2") != 0;
}
int main(int argc, char **argv)
{
    if (argc > 1)
        memcpy(&have, &every, sizeof have);
    printf("%d\n", have.avx2 ? wide(argc) : plain(argc));
    return 0;
}
