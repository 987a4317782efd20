/* The table's entry is chosen by the user: nothing asks the processor. */
#include "kernel.h"
static int (*const table[])(int) = {plain, wide};
int main(int argc, char **argv) { printf("%d\n", table[argc > 1](argc)); return 0; }
