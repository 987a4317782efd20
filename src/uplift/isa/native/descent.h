/* Recursive descent: code is followed from seeds into what is not covered yet.
 *
 * A path runs from a seed or a target to a jump, a return or known code. One that reaches bytes
 * that are no instruction is dropped whole, and so is what runs into it. */
#ifndef UPLIFT_DESCENT_H
#define UPLIFT_DESCENT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

struct numbers {
    int64_t *items;
    int64_t size, room;
};

/* Zero where memory is short. */
static inline int push_number(struct numbers *n, int64_t item)
{
    if (n->size == n->room) {
        int64_t room = n->room ? 2 * n->room : 1024;
        int64_t *items = realloc(n->items, (size_t)room * sizeof *items);
        if (!items)
            return 0;
        n->items = items;
        n->room = room;
    }
    n->items[n->size++] = item;
    return 1;
}

/* What the walk found: per instruction beyond the base set a triple (extent, class, address) in
 * `hits`, extents as pairs, and the targets that lie in covered code or outside the data. */
struct descent {
    const uint8_t *data;
    int64_t size, base;
    const int64_t *covered_starts, *covered_ends; /* sorted, disjoint */
    int64_t covered;
    step_function *step;
    int unit; /* bytes that every instruction's address is a multiple of */
    uint8_t *state; /* per unit */
    struct numbers work, path, hits, extents, targets;
};

enum { UNSEEN, KEPT, DEAD, ON_PATH };

static inline int is_covered(const struct descent *d, int64_t at)
{
    int64_t low = 0, high = d->covered;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (d->covered_starts[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low && at < d->covered_ends[low - 1];
}

static inline int is_inside(const struct descent *d, int64_t at)
{
    return (uint64_t)at - (uint64_t)d->base < (uint64_t)d->size;
}

static inline uint8_t *state_at(struct descent *d, int64_t at)
{
    return &d->state[(at - d->base) / d->unit];
}

/* The places of the current path get their final state. */
static void settle(struct descent *d, uint8_t state)
{
    for (int64_t i = 0; i < d->path.size; i += 4)
        *state_at(d, d->path.items[i]) = state;
}

/* A kept path: its extent, its classes, where it leads. */
static int keep(struct descent *d, int64_t start, int64_t end)
{
    int64_t extent = d->extents.size / 2;
    int ok = push_number(&d->extents, start) && push_number(&d->extents, end);
    for (int64_t i = 0; ok && i < d->path.size; i += 4) {
        const int64_t *entry = &d->path.items[i];
        if (entry[1])
            ok = push_number(&d->hits, extent) && push_number(&d->hits, entry[1])
                 && push_number(&d->hits, entry[0]);
        if (ok && entry[2])
            ok = push_number(&d->work, entry[3]);
    }
    settle(d, KEPT);
    return ok;
}

/* Follow one path; zero where memory is short. */
static int follow(struct descent *d, int64_t start)
{
    int64_t at = start;
    int dropped = 0;
    d->path.size = 0;
    for (;;) {
        if (!is_inside(d, at)) {
            dropped = 1;
            break;
        }
        uint8_t *state = state_at(d, at);
        if (*state == KEPT || *state == ON_PATH || is_covered(d, at))
            break;
        struct step s = {FLOW_BAD, 0, 0, 0};
        d->step(d->data + (at - d->base), d->size - (at - d->base), at, &s);
        if (*state == DEAD || s.flow == FLOW_BAD) {
            dropped = 1;
            break;
        }
        *state = ON_PATH;
        int leads = s.flow == FLOW_BRANCH || s.flow == FLOW_CALL || s.flow == FLOW_JUMP;
        if (!(push_number(&d->path, at) && push_number(&d->path, s.group)
              && push_number(&d->path, leads) && push_number(&d->path, s.target)))
            return 0;
        at += s.length;
        if (s.flow == FLOW_JUMP || s.flow == FLOW_END)
            break;
    }
    if (!dropped)
        return d->path.size ? keep(d, start, at) : 1;
    settle(d, DEAD);
    return 1;
}

static int descend(struct descent *d)
{
    while (d->work.size) {
        int64_t at = d->work.items[--d->work.size];
        if (!is_inside(d, at) || is_covered(d, at)) {
            if (!push_number(&d->targets, at))
                return 0;
        } else if ((at - d->base) % d->unit == 0 && *state_at(d, at) == UNSEEN) {
            if (!follow(d, at))
                return 0;
        }
    }
    return 1;
}

static void release(struct descent *d)
{
    free(d->state);
    free(d->work.items);
    free(d->path.items);
    free(d->hits.items);
    free(d->extents.items);
    free(d->targets.items);
}

#endif
