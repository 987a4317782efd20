#include "kernel.h"
static int level(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return 4;
    if (__builtin_cpu_supports("avx2"))
        return 3;
    if (__builtin_cpu_supports("sse4.2"))
        return 2;
    return __builtin_cpu_supports("sse3") ? 1 : 0;
}
int main(int argc, char **argv)
{
    int result;
    switch (level()) {
    case 0: result = plain(argc); break;
    case 1: result = plain(argc) + 0 * argc; break;
    case 2: result = plain(argc + 1) - 3; break;
    case 3: result = wide(argc); break;
    case 4: result = wide(argc + 1) - 3; break;
    default: result = 0;
    }
    printf("%d\n", result);
    return 0;
}
