/* What a decoder of one architecture offers to the Python module. */
#ifndef UPLIFT_DECODE_H
#define UPLIFT_DECODE_H

#include "references.h"
#include "sweep.h"

struct arch_ops {
    const char *name;
    int unit;    /* bytes that every instruction's address is a multiple of, seen from the base */
    int classes; /* class numbers are below it */
    void (*start)(void); /* once, before anything else */
    void (*sweep)(const uint8_t *code, int64_t size, int64_t at, struct tally *tally);
    step_function *step;
    int (*length)(const uint8_t *code, int64_t left); /* 0: no instruction */
    void (*references)(const uint8_t *code, int64_t size, int64_t at, struct reference_sink *sink);
};

extern const struct arch_ops x86_ops, aarch64_ops, riscv_ops;

#endif
