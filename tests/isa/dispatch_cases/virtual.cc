/* The object is made behind the guard; its methods are named in a table. */
#include "kernel.h"
#include <memory>
struct Engine { virtual int work(int) = 0; virtual ~Engine() {} };
struct Plain : Engine { PLAIN int work(int n) override { return plain(n); } };
struct Wide : Engine { AVX2 int work(int n) override { return wide(n); } };
static PLAIN std::unique_ptr<Engine> make()
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        return std::unique_ptr<Engine>(new Wide);
    return std::unique_ptr<Engine>(new Plain);
}
int main(int argc, char **argv) { printf("%d\n", make()->work(argc)); return 0; }
