/* What is known of the integer registers while code is read in the order of its addresses. */
#ifndef UPLIFT_REGISTERS_H
#define UPLIFT_REGISTERS_H

#include <stdint.h>

struct registers {
    uint32_t has_value;  /* bit n: value[n] is the address that register n holds */
    uint32_t has_source; /* bit n: register n was loaded from the address source[n] */
    int64_t value[32];
    int64_t source[32];
};

static inline void forget(struct registers *r, unsigned n)
{
    r->has_value &= ~(1u << n);
    r->has_source &= ~(1u << n);
}

static inline void forget_all(struct registers *r, uint32_t which)
{
    r->has_value &= ~which;
    r->has_source &= ~which;
}

static inline void set_value(struct registers *r, unsigned n, int64_t value)
{
    r->has_value |= 1u << n;
    r->has_source &= ~(1u << n);
    r->value[n] = value;
}

static inline void set_source(struct registers *r, unsigned n, int64_t source)
{
    r->has_source |= 1u << n;
    r->has_value &= ~(1u << n);
    r->source[n] = source;
}

static inline int has_value(const struct registers *r, unsigned n)
{
    return r->has_value >> n & 1;
}

static inline int has_source(const struct registers *r, unsigned n)
{
    return r->has_source >> n & 1;
}

/* Register `to` is a copy of `from`. */
static inline void copy_register(struct registers *r, unsigned to, unsigned from)
{
    unsigned value = has_value(r, from), source = has_source(r, from);
    int64_t v = r->value[from], s = r->source[from];
    forget(r, to);
    if (value)
        set_value(r, to, v);
    else if (source)
        set_source(r, to, s);
}

/* Register `to` depends on what was loaded into `from`: a bit of it is tested later. */
static inline void keep_source(struct registers *r, unsigned to, unsigned from)
{
    unsigned source = has_source(r, from);
    int64_t s = r->source[from];
    forget(r, to);
    if (source)
        set_source(r, to, s);
}

#endif
