/* What a decoder of one architecture tells of a range of code. */
#ifndef UPLIFT_SWEEP_H
#define UPLIFT_SWEEP_H

#include <stdint.h>

/* Per class of an architecture, how often and where first; `seen` lists the classes counted. */
struct tally {
    int64_t *count, *first;
    uint16_t *seen;
    int64_t seen_size;
    int64_t decoded;
    int64_t bad_first, bad_bytes;
};

static inline void count_class(struct tally *t, uint16_t group, int64_t at)
{
    if (!t->count[group]++) {
        t->first[group] = at;
        t->seen[t->seen_size++] = group;
    }
}

static inline void count_bad(struct tally *t, int64_t at, int64_t bytes)
{
    if (!t->bad_bytes)
        t->bad_first = at;
    t->bad_bytes += bytes;
}

enum flow {
    FLOW_ON,       /* goes on with the next instruction */
    FLOW_BRANCH,   /* may go on at the target */
    FLOW_CALL,     /* comes back from the target */
    FLOW_JUMP,     /* goes on at the target only */
    FLOW_END,      /* return, jump through a register, trap */
    FLOW_BAD,      /* no instruction */
};

struct step {
    enum flow flow;
    int length;
    uint16_t group;
    int64_t target;
};

typedef void step_function(const uint8_t *code, int64_t left, int64_t at, struct step *step);

#endif
