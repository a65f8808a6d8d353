/* The first value of each field of one message, as an object: a text is made when it is asked for, and is not kept.
 *
 * Most of the fields of a message are looked at once, or never. For head_scan.c alone.
 */
#ifndef HEAD_VALUES_H
#define HEAD_VALUES_H

#include <Python.h>

#include "head_look.h"

/* Texts are ASCII: line_end lets nothing else pass. */
static inline PyObject *
text(Span part)
{
    PyObject *made = PyUnicode_New(part.size, 0x7f);
    if (made != NULL)
        memcpy(PyUnicode_1BYTE_DATA(made), part.at, (size_t)part.size);
    return made;
}

typedef struct {
    uint32_t at, size; /* the value, behind the colon, within `data` */
    uint8_t id;
} Row;

typedef struct {
    PyObject_VAR_HEAD /* as many rows as the message has */
    PyObject *data;
    uint64_t seen, repeated;
    Py_ssize_t id_count;
    Row rows[];
} Values;

static PyTypeObject values_type;

static PyObject *
values_of(PyObject *data, const Found *found, Py_ssize_t id_count)
{
    Values *made = PyObject_NewVar(Values, &values_type, found->line_count);
    const char *start = PyBytes_AS_STRING(data);
    if (made == NULL)
        return NULL;
    made->data = Py_NewRef(data);
    made->seen = found->seen;
    made->repeated = found->repeated;
    made->id_count = id_count;
    for (Py_ssize_t i = 0; i < found->line_count; i++) {
        Span value = found->values[i];
        made->rows[i] = (Row){(uint32_t)(value.at - start), (uint32_t)value.size, found->ids[i]};
    }
    return (PyObject *)made;
}

static void
drop_values(PyObject *object)
{
    Py_DECREF(((Values *)object)->data);
    PyObject_Free(object);
}

static Py_ssize_t
count_of_values(PyObject *object)
{
    return ((Values *)object)->id_count;
}

static PyObject *
value_at(PyObject *object, Py_ssize_t id)
{
    const Values *self = (Values *)object;
    const Row *row = self->rows;
    if (id < 0 || id >= self->id_count) {
        PyErr_SetString(PyExc_IndexError, "no such field");
        return NULL;
    }
    if (!HAS(self, id))
        Py_RETURN_NONE;
    while (row->id != id)
        row++;
    return text(span(PyBytes_AS_STRING(self->data) + row->at, PyBytes_AS_STRING(self->data) + row->at + row->size));
}

static PyObject *
value_of(PyObject *object, PyObject *id)
{
    Py_ssize_t number = PyNumber_AsSsize_t(id, PyExc_IndexError);
    return number == -1 && PyErr_Occurred() ? NULL : value_at(object, number);
}

static PyObject *
list_of_ids(PyObject *object, PyObject *Py_UNUSED(none))
{
    const Values *self = (Values *)object;
    PyObject *list = PyList_New(Py_SIZE(self));
    for (Py_ssize_t i = 0; list != NULL && i < Py_SIZE(self); i++)
        PyList_SET_ITEM(list, i, PyLong_FromLong(self->rows[i].id)); /* such small numbers are always there */
    return list;
}

/* Whether any of the fields is there whose bits are set: `bits in values`, which needs no search for a method. */
static int
has_any(PyObject *object, PyObject *bits)
{
    unsigned long long wanted = PyLong_AsUnsignedLongLong(bits);
    if (wanted == (unsigned long long)-1 && PyErr_Occurred())
        return -1;
    return (((Values *)object)->seen & wanted) != 0;
}

static PyObject *
is_repeated(PyObject *object, PyObject *id)
{
    Py_ssize_t number = PyNumber_AsSsize_t(id, PyExc_IndexError);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (number < 0 || number >= ((Values *)object)->id_count) {
        PyErr_SetString(PyExc_IndexError, "no such field");
        return NULL;
    }
    return PyBool_FromLong(((Values *)object)->repeated >> number & 1);
}

static PySequenceMethods values_as_sequence = {
    .sq_length = count_of_values, .sq_item = value_at, .sq_contains = has_any};
static PyMappingMethods values_as_mapping = {.mp_length = count_of_values, .mp_subscript = value_of};
static PyMethodDef values_methods[] = {
    {"ids", list_of_ids, METH_NOARGS, "The field of each line."},
    {"is_repeated", is_repeated, METH_O, "Whether a field has more than one line."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject values_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "sipstack.head_scan.Values",
    .tp_basicsize = offsetof(Values, rows),
    .tp_itemsize = sizeof(Row),
    .tp_dealloc = drop_values,
    .tp_as_sequence = &values_as_sequence,
    .tp_as_mapping = &values_as_mapping,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .tp_doc = "The first value of each field of one message.",
    .tp_methods = values_methods,
};

#endif
