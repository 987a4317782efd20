/* uplift.isa._decode: code is counted, followed and searched without the interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "decode.h"
#include "descent.h"

/* What the lists of classes add up to that the module was built beside. */
#ifndef UPLIFT_DATA_CRC
#define UPLIFT_DATA_CRC 0
#endif

static const struct arch_ops *const arches[] = {&x86_ops, &aarch64_ops, &riscv_ops};

enum { ARCHES = sizeof arches / sizeof *arches };

struct row {
    int32_t range, group;
    int64_t first, count;
};

struct reference {
    int32_t range, kind;
    int64_t at, target;
};

/* Records that grow; `failed` once memory was short. */
struct records {
    char *bytes;
    size_t size, room;
    int failed;
};

static void append(struct records *r, const void *record, size_t size)
{
    if (r->failed)
        return;
    if (r->size + size > r->room) {
        size_t room = r->room ? 2 * r->room : 4096;
        char *bytes = realloc(r->bytes, room);
        if (!bytes) {
            r->failed = 1;
            return;
        }
        r->bytes = bytes;
        r->room = room;
    }
    memcpy(r->bytes + r->size, record, size);
    r->size += size;
}

static PyObject *taken(struct records *r)
{
    PyObject *bytes = r->failed ? PyErr_NoMemory()
                                : PyBytes_FromStringAndSize(r->bytes, (Py_ssize_t)r->size);
    free(r->bytes);
    return bytes;
}

static const struct arch_ops *find_arch(const char *name)
{
    for (int i = 0; i < ARCHES; i++)
        if (!strcmp(arches[i]->name, name))
            return arches[i];
    PyErr_Format(PyExc_ValueError, "no decoder for %.40s", name);
    return NULL;
}

/* A buffer of addresses. */
struct addresses {
    Py_buffer view;
    const int64_t *items;
    int64_t size;
};

static int to_addresses(PyObject *object, void *to)
{
    struct addresses *a = to;
    if (!object) {
        PyBuffer_Release(&a->view);
        return 1;
    }
    if (PyObject_GetBuffer(object, &a->view, PyBUF_C_CONTIGUOUS))
        return 0;
    if (a->view.itemsize != 8 || a->view.len % 8) {
        PyBuffer_Release(&a->view);
        PyErr_SetString(PyExc_ValueError, "addresses are int64");
        return 0;
    }
    a->items = a->view.buf;
    a->size = a->view.len / 8;
    return Py_CLEANUP_SUPPORTED;
}

static int fits(const Py_buffer *data, long long base)
{
    if (base <= INT64_MAX - data->len - 64)
        return 1;
    PyErr_SetString(PyExc_ValueError, "the data reach beyond the last address");
    return 0;
}

static int same_size(const struct addresses *a, const struct addresses *b)
{
    if (a->size == b->size && a->size < INT32_MAX)
        return 1;
    PyErr_SetString(PyExc_ValueError, "as many starts as ends");
    return 0;
}

/* --- ranges ------------------------------------------------------------------------------- */

struct job {
    const struct arch_ops *arch;
    const uint8_t *data;
    int64_t size, base;
};

struct piece {
    const uint8_t *code;
    int64_t size, at;
};

static int64_t clipped(const struct job *j, int64_t address)
{
    if (address < j->base)
        return 0;
    uint64_t offset = (uint64_t)address - (uint64_t)j->base;
    return offset < (uint64_t)j->size ? (int64_t)offset : j->size;
}

/* The whole units of a range that the data hold. */
static struct piece piece_of(const struct job *j, int64_t start, int64_t end)
{
    int64_t unit = j->arch->unit;
    int64_t low = (clipped(j, start) + unit - 1) / unit * unit, high = clipped(j, end) / unit * unit;
    if (high < low)
        high = low = high < 0 ? 0 : high;
    return (struct piece){j->data + low, high - low, j->base + low};
}

static int open_tally(struct tally *t, const struct arch_ops *arch)
{
    size_t classes = (size_t)arch->classes;
    *t = (struct tally){.count = calloc(classes, sizeof *t->count),
                        .first = calloc(classes, sizeof *t->first),
                        .seen = calloc(classes, sizeof *t->seen)};
    return t->count && t->first && t->seen;
}

static void close_tally(struct tally *t)
{
    free(t->count);
    free(t->first);
    free(t->seen);
}

static int by_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* One row for each class seen, by its first address; the tally is ready for the next range. */
static void append_rows(struct records *rows, struct tally *t, int64_t range)
{
    size_t before = rows->size;
    for (int64_t i = 0; i < t->seen_size; i++) {
        uint16_t group = t->seen[i];
        struct row row = {(int32_t)range, group, t->first[group], t->count[group]};
        append(rows, &row, sizeof row);
        t->count[group] = 0;
    }
    t->seen_size = 0;
    if (!rows->failed && rows->size > before)
        qsort(rows->bytes + before, (rows->size - before) / sizeof(struct row), sizeof(struct row),
              by_first);
}

static void append_bad(struct records *bad, struct tally *t, int64_t range)
{
    struct row row = {(int32_t)range, 0, t->bad_first, t->bad_bytes};
    if (t->bad_bytes)
        append(bad, &row, sizeof row);
    t->bad_bytes = 0;
}

static PyObject *classify(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    Py_buffer data;
    long long base;
    struct addresses starts, ends;
    struct records rows = {0}, bad = {0};
    struct tally t = {0};
    if (!PyArg_ParseTuple(args, "sy*LO&O&", &name, &data, &base, to_addresses, &starts,
                          to_addresses, &ends))
        return NULL;
    const struct arch_ops *arch = find_arch(name);
    int ok = arch && fits(&data, base) && same_size(&starts, &ends);
    if (ok) {
        struct job job = {arch, data.buf, data.len, base};
        Py_BEGIN_ALLOW_THREADS
        rows.failed = !open_tally(&t, arch);
        for (int64_t i = 0; i < starts.size && !rows.failed; i++) {
            struct piece p = piece_of(&job, starts.items[i], ends.items[i]);
            arch->sweep(p.code, p.size, p.at, &t);
            append_rows(&rows, &t, i);
            append_bad(&bad, &t, i);
        }
        close_tally(&t);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts.view);
    PyBuffer_Release(&ends.view);
    return ok ? Py_BuildValue("NNL", taken(&rows), taken(&bad), (long long)t.decoded) : NULL;
}

/* --- references --------------------------------------------------------------------------- */

struct collector {
    struct records found;
    int32_t range;
};

static void collect(void *to, int kind, int64_t at, int64_t target)
{
    struct collector *c = to;
    struct reference reference = {c->range, kind, at, target};
    append(&c->found, &reference, sizeof reference);
}

static PyObject *references(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    Py_buffer data;
    long long base;
    struct addresses starts, ends;
    struct collector c = {{0}, 0};
    if (!PyArg_ParseTuple(args, "sy*LO&O&", &name, &data, &base, to_addresses, &starts,
                          to_addresses, &ends))
        return NULL;
    const struct arch_ops *arch = find_arch(name);
    int ok = arch && fits(&data, base) && same_size(&starts, &ends);
    if (ok) {
        struct job job = {arch, data.buf, data.len, base};
        struct reference_sink sink = {collect, &c};
        Py_BEGIN_ALLOW_THREADS
        for (int64_t i = 0; i < starts.size && !c.found.failed; i++) {
            struct piece p = piece_of(&job, starts.items[i], ends.items[i]);
            c.range = (int32_t)i;
            arch->references(p.code, p.size, p.at, &sink);
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&starts.view);
    PyBuffer_Release(&ends.view);
    return ok ? taken(&c.found) : NULL;
}

/* --- walks -------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Covered ranges by growing start; an end is at least that of the ranges before. */
static int64_t *sorted_cover(const struct addresses *starts, const struct addresses *ends)
{
    size_t size = (size_t)starts->size;
    int64_t *both = malloc((2 * size + 1) * 2 * sizeof *both);
    if (!both)
        return NULL;
    int64_t *pairs = both + 2 * size;
    for (size_t i = 0; i < size; i++) {
        pairs[2 * i] = starts->items[i];
        pairs[2 * i + 1] = ends->items[i];
    }
    qsort(pairs, size, 2 * sizeof *pairs, by_number);
    for (size_t i = 0; i < size; i++) {
        both[i] = pairs[2 * i];
        both[size + i] = pairs[2 * i + 1];
        if (i && both[size + i] < both[size + i - 1])
            both[size + i] = both[size + i - 1];
    }
    return both;
}

static int walk_data(struct descent *d, const struct addresses *seeds)
{
    d->state = calloc((size_t)(d->size / d->unit) + 1, 1);
    for (int64_t i = 0; d->state && i < seeds->size; i++)
        if (!push_number(&d->work, seeds->items[i]))
            return 0;
    return d->state && descend(d);
}

static void append_hits(struct records *rows, const struct descent *d, struct tally *t)
{
    const int64_t *hit = d->hits.items;
    for (int64_t i = 0; i < d->hits.size; i += 3) {
        count_class(t, (uint16_t)hit[i + 1], hit[i + 2]);
        if (i + 3 == d->hits.size || hit[i + 3] != hit[i])
            append_rows(rows, t, hit[i]);
    }
}

static void append_targets(struct records *targets, struct descent *d)
{
    int64_t *items = d->targets.items;
    if (d->targets.size)
        qsort(items, (size_t)d->targets.size, sizeof *items, by_number);
    for (int64_t i = 0; i < d->targets.size; i++)
        if (!i || items[i] != items[i - 1])
            append(targets, &items[i], sizeof items[i]);
}

static PyObject *walk(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    Py_buffer data;
    long long base;
    struct addresses seeds, starts, ends;
    struct records rows = {0}, extents = {0}, targets = {0};
    if (!PyArg_ParseTuple(args, "sy*LO&O&O&", &name, &data, &base, to_addresses, &seeds,
                          to_addresses, &starts, to_addresses, &ends))
        return NULL;
    const struct arch_ops *arch = find_arch(name);
    int ok = arch && fits(&data, base) && same_size(&starts, &ends);
    if (ok) {
        Py_BEGIN_ALLOW_THREADS
        struct tally t;
        int64_t *cover = sorted_cover(&starts, &ends);
        struct descent d = {.data = data.buf, .size = data.len, .base = base,
                            .covered_starts = cover, .covered_ends = cover ? cover + starts.size : cover,
                            .covered = starts.size, .step = arch->step, .unit = arch->unit};
        rows.failed = !open_tally(&t, arch) || !cover || !walk_data(&d, &seeds);
        if (!rows.failed) {
            append_hits(&rows, &d, &t);
            for (int64_t i = 0; i < d.extents.size; i++)
                append(&extents, &d.extents.items[i], sizeof(int64_t));
            append_targets(&targets, &d);
        }
        close_tally(&t);
        release(&d);
        free(cover);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&seeds.view);
    PyBuffer_Release(&starts.view);
    PyBuffer_Release(&ends.view);
    return ok ? Py_BuildValue("NNN", taken(&rows), taken(&extents), taken(&targets)) : NULL;
}

/* --- lengths ------------------------------------------------------------------------------ */

static PyObject *lengths(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    Py_buffer data;
    struct records found = {0};
    if (!PyArg_ParseTuple(args, "sy*", &name, &data))
        return NULL;
    const struct arch_ops *arch = find_arch(name);
    for (int64_t i = 0; arch && i + arch->unit <= data.len;) {
        uint8_t length = (uint8_t)arch->length((const uint8_t *)data.buf + i, data.len - i);
        append(&found, &length, 1);
        i += length ? length : arch->unit;
    }
    PyBuffer_Release(&data);
    return arch ? taken(&found) : NULL;
}

static PyMethodDef methods[] = {
    {"classify", classify, METH_VARARGS, "Count the classes of instructions in ranges."},
    {"walk", walk, METH_VARARGS, "Follow code from seeds into what is not covered."},
    {"references", references, METH_VARARGS, "Find what refers to a fixed address."},
    {"lengths", lengths, METH_VARARGS, "The length of each instruction."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_decode", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__decode(void)
{
    for (int i = 0; i < ARCHES; i++)
        arches[i]->start();
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddObject(module, "data_crc", PyLong_FromUnsignedLong(UPLIFT_DATA_CRC))) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
