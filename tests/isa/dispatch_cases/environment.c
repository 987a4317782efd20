/* The environment can overrule what the processor says. */
#include "kernel.h"
#include <stdlib.h>
static int level = -1;
static PLAIN int get(void)
{
    if (level < 0) {
        __builtin_cpu_init();
        level = __builtin_cpu_supports("avx2") ? 2 : 0;
        if (getenv("FORCE_LEVEL"))
            level = atoi(getenv("FORCE_LEVEL"));
    }
    return level;
}
int main(int argc, char **argv)
{
    if (argc > 1)
        setenv("FORCE_LEVEL", "2", 1);
    printf("%d\n", get() >= 2 ? wide(argc) : plain(argc));
    return 0;
}
