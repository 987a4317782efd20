/* The address that is asked for is also stored where no test of features stands before. */
#include "kernel.h"
#include <stdlib.h>
struct job { int (*step)(int); };
static AVX2 int step(int n) { return wide(n); }
static AVX2 int bulk(int n) { return wide(n + 1) - 3; }
static PLAIN void choose(struct job *job)
{
    __builtin_cpu_init();
    job->step = __builtin_cpu_supports("avx2") ? step : plain;
}
static PLAIN int run(struct job *job, int n)
{
    return job->step == step ? bulk(n) : job->step(n);
}
int main(int argc, char **argv)
{
    struct job *job = malloc(sizeof *job);
    choose(job);
    if (argc > 1)
        job->step = step;
    printf("%d\n", run(job, argc));
    return 0;
}
