/* A word that the processor filled is overruled from the command line. */
#include "kernel.h"
static int use;
__attribute__((constructor)) static void fill(void)
{
    __builtin_cpu_init();
    use = __builtin_cpu_supports("avx2") != 0;
}
PLAIN void overrule(int on) { use = on; }
int main(int argc, char **argv)
{
    if (argc > 1)
        overrule(argc);
    printf("%d\n", use ? wide(argc) : plain(argc));
    return 0;
}
