/* The work each case does: plain, and for processors with AVX2 or AVX-512. */
#include <immintrin.h>
#include <stdio.h>
#define PLAIN __attribute__((noinline))
#define AVX2 __attribute__((noinline, target("avx2")))
static PLAIN int plain(int n) { return n * 3; }
static AVX2 int wide(int n)
{
    __m256i v = _mm256_add_epi32(_mm256_set1_epi32(n), _mm256_set1_epi32(n * 2));
    return _mm256_extract_epi32(v, 5);
}
