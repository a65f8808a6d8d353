/* engine.core.record_frame: the fields of one record as its hash covers them (docs/decisions/0061).
 *
 * What goes in and comes out is told in record_frame.pyi. It reads the values, and keeps and changes none.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define PREFIX 4
#define ROOM 4096   /* octets; a record has about 1000 */
#define DIGITS 20   /* of an integer of 64 bits, with its sign */

static unsigned char *
put(unsigned char *at, const void *data, Py_ssize_t size)
{
    const unsigned char prefix[PREFIX] = {
        (unsigned char)(size >> 24), (unsigned char)(size >> 16), (unsigned char)(size >> 8), (unsigned char)size,
    };
    memcpy(at, prefix, PREFIX);
    memcpy(at + PREFIX, data, (size_t)size);
    return at + PREFIX + size;
}

/* The decimal digits end at `end`; where they begin. */
static char *
decimal(char *end, long number)
{
    unsigned long left = number < 0 ? -(unsigned long)number : (unsigned long)number;
    do
        *--end = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (number < 0)
        *--end = '-';
    return end;
}

/* NULL without an error for what the caller must look at itself. */
static unsigned char *
put_value(unsigned char *at, const unsigned char *end, PyObject *value)
{
    char digits[DIGITS];
    const char *data;
    Py_ssize_t size;
    if (PyUnicode_CheckExact(value)) {
        data = PyUnicode_AsUTF8AndSize(value, &size);
        if (data == NULL) {
            PyErr_Clear();
            return NULL;
        }
    } else if (value == Py_None) {
        if (end - at < PREFIX)
            return NULL;
        memset(at, 0xff, PREFIX);
        return at + PREFIX;
    } else if (PyLong_CheckExact(value)) {
        int overflow;
        long number = PyLong_AsLongAndOverflow(value, &overflow);
        if (overflow != 0)
            return NULL;
        data = decimal(digits + DIGITS, number);
        size = digits + DIGITS - data;
    } else if (PyBytes_CheckExact(value)) {
        data = PyBytes_AS_STRING(value);
        size = PyBytes_GET_SIZE(value);
    } else if (PyByteArray_CheckExact(value)) {
        data = PyByteArray_AS_STRING(value);
        size = PyByteArray_GET_SIZE(value);
    } else {
        return NULL;
    }
    return size > end - at - PREFIX ? NULL : put(at, data, size);
}

static PyObject *
framed(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given)
{
    unsigned char room[ROOM], *at = room;
    if (given != 2 || !PyList_CheckExact(arguments[0]))
        return PyErr_Format(PyExc_TypeError, "a list, and how many of it");
    PyObject *values = arguments[0];
    Py_ssize_t count = PyLong_AsSsize_t(arguments[1]);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    if (count < 0 || count > PyList_GET_SIZE(values))
        return PyErr_Format(PyExc_ValueError, "not so many");
    for (Py_ssize_t i = 0; i < count; i++) {
        at = put_value(at, room + ROOM, PyList_GET_ITEM(values, i));
        if (at == NULL)
            Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize((const char *)room, at - room);
}

static PyMethodDef methods[] = {
    {"framed", (PyCFunction)(void (*)(void))framed, METH_FASTCALL, "Fields with their lengths, or None."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "engine.core.record_frame",
    .m_doc = "A record as its hash covers it.",
    .m_methods = methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_record_frame(void)
{
    return PyModuleDef_Init(&module);
}
