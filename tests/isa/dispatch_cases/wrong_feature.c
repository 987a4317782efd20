/* Asks for less than it uses: dies where SSE4.2 is and AVX2 is not. */
#include "kernel.h"
int main(int argc, char **argv)
{
    printf("%d\n", __builtin_cpu_supports("sse4.2") ? wide(argc) : plain(argc));
    return 0;
}
