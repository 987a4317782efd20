/* In one function: some before the test, some behind it. */
#include "kernel.h"
__attribute__((noinline, target("avx2"))) static int work(int n, int known)
{
    __m256i v = _mm256_set1_epi32(n);
    if (known || __builtin_cpu_supports("avx2"))
        v = _mm256_add_epi32(v, v);
    return _mm256_extract_epi32(v, 5);
}
int main(int argc, char **argv) { printf("%d\n", work(argc, argc > 1)); return 0; }
