/* The user decides: with an argument it dies, without one it does not. */
#include "kernel.h"
int main(int argc, char **argv) { printf("%d\n", argc > 1 ? wide(argc) : plain(argc)); return 0; }
