#include <stdio.h>
static long counter;
int main(int argc, char **argv)
{
    __atomic_fetch_add(&counter, argc, __ATOMIC_SEQ_CST);
    printf("%ld\n", __atomic_exchange_n(&counter, 0, __ATOMIC_SEQ_CST));
    return 0;
}
