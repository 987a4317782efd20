/* References that code makes, as they are found; the kinds are those of the Python face. */
#ifndef UPLIFT_REFERENCES_H
#define UPLIFT_REFERENCES_H

#include <stdint.h>

enum {
    REF_CALL = 1,
    REF_JUMP,
    REF_BRANCH,
    REF_ADDRESS,
    REF_LOAD,
    REF_STORE,
    REF_CALL_MEMORY,
    REF_JUMP_MEMORY,
    REF_IDENTITY,
    REF_INDIRECT,
    REF_FLAG_TEST,
};

struct reference_sink {
    void (*take)(void *to, int kind, int64_t at, int64_t target);
    void *to;
};

static inline void emit(struct reference_sink *sink, int kind, int64_t at, int64_t target)
{
    sink->take(sink->to, kind, at, target);
}

#endif
