/* engine.store.step_octets: a step of a call as the journal holds it, in the format of marshal (docs/decisions/0060).
 *
 * What goes in and comes out is told in step_octets.pyi. What a record does not hold as a rule is left to marshal itself:
 * in version 2 nothing refers to what stands before it, so its octets stand for themselves.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>

#include <stdint.h>
#include <string.h>

#define VERSION 2
#define HEAD 5       /* a mark and four octets: a length, or an integer */
#define FIRST 4096   /* most steps are shorter than this */
#define DEEPEST 16   /* tuples in tuples: what lies below is marshal's */

typedef struct {
    char *begin, *at, *end;
    char first[FIRST];
} Out;

static int put(Out *out, PyObject *value, int depth);

/* -- octets -------------------------------------------------------------------------------------------------------- */

static int
too_long(void)
{
    PyErr_SetString(PyExc_ValueError, "unmarshallable object");
    return -1;
}

static int
grow(Out *out, Py_ssize_t more)
{
    Py_ssize_t used = out->at - out->begin;
    if (more > INT32_MAX - used)
        return too_long();
    Py_ssize_t needed = used + more, size = needed > INT32_MAX / 2 ? INT32_MAX : 2 * needed;
    char *larger = PyMem_Realloc(out->begin == out->first ? NULL : out->begin, (size_t)size);
    if (larger == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (out->begin == out->first)
        memcpy(larger, out->first, (size_t)used);
    out->begin = larger;
    out->at = larger + used;
    out->end = larger + size;
    return 0;
}

static inline int
make_room(Out *out, Py_ssize_t more)
{
    return out->end - out->at >= more ? 0 : grow(out, more);
}

static inline void
put_number(char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(number >> 8 * i);
}

static inline int
put_head(Out *out, char mark, Py_ssize_t number, Py_ssize_t more)
{
    if (make_room(out, HEAD + more) < 0)
        return -1;
    *out->at = mark;
    put_number(out->at + 1, (uint32_t)number);
    out->at += HEAD;
    return 0;
}

static inline int
put_octets(Out *out, char mark, const char *octets, Py_ssize_t size)
{
    if (size > INT32_MAX - HEAD)
        return too_long();
    if (put_head(out, mark, size, size) < 0)
        return -1;
    memcpy(out->at, octets, (size_t)size);
    out->at += size;
    return 0;
}

static inline int
put_mark(Out *out, char mark)
{
    if (make_room(out, 1) < 0)
        return -1;
    *out->at++ = mark;
    return 0;
}

/* -- values -------------------------------------------------------------------------------------------------------- */

/* Whatever it is, or ValueError. */
static int
put_by_marshal(Out *out, PyObject *value)
{
    PyObject *octets = PyMarshal_WriteObjectToString(value, VERSION);
    if (octets == NULL)
        return -1;
    Py_ssize_t size = PyBytes_GET_SIZE(octets);
    int status = make_room(out, size);
    if (status == 0) {
        memcpy(out->at, PyBytes_AS_STRING(octets), (size_t)size);
        out->at += size;
    }
    Py_DECREF(octets);
    return status;
}

static int
put_tuple(Out *out, PyObject *value, int depth)
{
    Py_ssize_t size = PyTuple_GET_SIZE(value);
    if (size > INT32_MAX)
        return too_long();
    if (put_head(out, '(', size, 0) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < size; i++)
        if (put(out, PyTuple_GET_ITEM(value, i), depth + 1) < 0)
            return -1;
    return 0;
}

static int
put(Out *out, PyObject *value, int depth)
{
    if (value == Py_None)
        return put_mark(out, 'N');
    if (PyUnicode_CheckExact(value) && PyUnicode_IS_COMPACT_ASCII(value))
        return put_octets(out, 'u', (const char *)PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value));
    if (PyLong_CheckExact(value)) {
        int overflow;
        long number = PyLong_AsLongAndOverflow(value, &overflow);
        if (overflow == 0 && number == (int32_t)number)
            return put_head(out, 'i', number, 0);
        return put_by_marshal(out, value);
    }
    if (PyFloat_CheckExact(value)) {
        if (make_room(out, 1 + (Py_ssize_t)sizeof(double)) < 0)
            return -1;
        *out->at = 'g';
        if (PyFloat_Pack8(PyFloat_AS_DOUBLE(value), out->at + 1, 1) < 0)
            return -1;
        out->at += 1 + sizeof(double);
        return 0;
    }
    if (value == Py_False || value == Py_True)
        return put_mark(out, value == Py_True ? 'T' : 'F');
    if (PyBytes_CheckExact(value))
        return put_octets(out, 's', PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    if (PyTuple_CheckExact(value) && depth < DEEPEST)
        return put_tuple(out, value, depth);
    return put_by_marshal(out, value);
}

/* -- a step -------------------------------------------------------------------------------------------------------- */

static PyObject *
encoded_step(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (count != 3)
        return PyErr_Format(PyExc_TypeError, "encoded_step takes a step, values and what else there is");
    int overflow;
    long step = PyLong_AsLongAndOverflow(given[0], &overflow);
    if (step == -1 && PyErr_Occurred())
        return NULL;
    if (overflow != 0 || step != (int32_t)step) {
        too_long();
        return NULL;
    }
    Out out;
    out.begin = out.first;
    out.at = out.begin + HEAD; /* the length comes last */
    out.end = out.begin + FIRST;
    PyObject *encoded = NULL;
    if (put_head(&out, '(', 3, 0) == 0 && put_head(&out, 'i', step, 0) == 0 && put(&out, given[1], 0) == 0 &&
        put(&out, given[2], 0) == 0) {
        Py_ssize_t size = out.at - out.begin;
        out.begin[0] = 's';
        put_number(out.begin + 1, (uint32_t)(size - HEAD));
        encoded = PyBytes_FromStringAndSize(out.begin, size);
    }
    if (out.begin != out.first)
        PyMem_Free(out.begin);
    return encoded;
}

/* -- the module ---------------------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"encoded_step", (PyCFunction)(void (*)(void))encoded_step, METH_FASTCALL, "One step, as groups hold it."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "engine.store.step_octets",
    .m_doc = "Steps of calls in the format of marshal.",
    .m_methods = functions,
};

PyMODINIT_FUNC
PyInit_step_octets(void)
{
    return PyModuleDef_Init(&module);
}
