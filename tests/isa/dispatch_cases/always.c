#include "kernel.h"
int main(int argc, char **argv) { printf("%d\n", wide(argc)); return 0; }
