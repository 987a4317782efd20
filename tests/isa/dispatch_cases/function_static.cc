#include "kernel.h"
static bool have()
{
    static const bool yes = __builtin_cpu_supports("avx2");
    return yes;
}
int main(int argc, char **argv) { printf("%d\n", have() ? wide(argc) : plain(argc)); return 0; }
