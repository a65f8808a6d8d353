/* engine.store.short_siv: one short text with AES-256-SIV by the processor's own AES (docs/decisions/0050).
 *
 * What goes in and comes out is told in short_siv.pyi. No table is looked up and nothing branches on a secret.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__)

#include "short_siv.h"

typedef struct {
    PyObject_HEAD
    ShortKeys keys;
} ShortColumn;

static PyObject *
encrypt(PyObject *object, PyObject *text)
{
    unsigned char out[2 * BLOCK];
    Py_ssize_t size;
    const char *octets = PyUnicode_AsUTF8AndSize(text, &size);
    if (octets == NULL)
        return NULL;
    if (!is_short(size))
        Py_RETURN_NONE;
    hide(&((const ShortColumn *)object)->keys, octets, size, out);
    return PyBytes_FromStringAndSize((const char *)out, BLOCK + size);
}

static PyObject *
decrypt(PyObject *object, PyObject *blob)
{
    unsigned char clear[BLOCK];
    char *octets;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(blob, &octets, &size) < 0)
        return NULL;
    size -= BLOCK;
    if (!is_short(size) || !reveal(&((const ShortColumn *)object)->keys, octets, size, clear))
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8((const char *)clear, size, NULL);
}

/* -- the module ---------------------------------------------------------------------------------------------------- */

static PyObject *
new_column(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    const unsigned char *key, *mixer;
    Py_ssize_t key_size, mixer_size;
    if (named != NULL && PyDict_GET_SIZE(named) != 0)
        return PyErr_Format(PyExc_TypeError, "ShortColumn takes no names of arguments");
    if (!PyArg_ParseTuple(arguments, "y#y#", &key, &key_size, &mixer, &mixer_size))
        return NULL;
    if (key_size != 2 * HALF || mixer_size != BLOCK)
        return PyErr_Format(PyExc_ValueError, "a key of %d bytes and a mixer of %d", 2 * HALF, BLOCK);
    ShortColumn *self = (ShortColumn *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    set_keys(&self->keys, key, mixer);
    return (PyObject *)self;
}

static void
drop_column(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"encrypt", encrypt, METH_O, "Tag and cipher text, or None."},
    {"decrypt", decrypt, METH_O, "The text again, or None."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_column},
    {Py_tp_dealloc, drop_column},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Short texts of one column."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "engine.store.short_siv.ShortColumn",
    .basicsize = sizeof(ShortColumn),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static int
fill_module(PyObject *module)
{
    if (!__builtin_cpu_supports("aes")) {
        PyErr_SetString(PyExc_ImportError, "this processor has no AES of its own");
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddObjectRef(module, "ShortColumn", type);
    Py_XDECREF(type);
    return status;
}

#else

static int
fill_module(PyObject *module)
{
    (void)module;
    PyErr_SetString(PyExc_ImportError, "only for x86-64");
    return -1;
}

#endif

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "engine.store.short_siv",
    .m_doc = "Short texts with AES-256-SIV.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_short_siv(void)
{
    return PyModuleDef_Init(&module);
}
