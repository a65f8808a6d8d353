/* engine.store.target_read: the point read of each call without Python's module in between (docs/decisions/0062).
 *
 * What goes in and comes out is told in target_read.pyi. It speaks to the SQLite that Python's module speaks to: two of
 * them in one process would let go of each other's locks.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__)

#include <dlfcn.h>

#include "short_siv.h"

/* -- SQLite -------------------------------------------------------------------------------------------------------- */

typedef struct Database Database;
typedef struct Statement Statement;

enum { DONE = 101, ROW = 100 };
enum { READ_ONLY = 0x1, URI = 0x40, NO_MUTEX = 0x8000, PRIVATE_CACHE = 0x40000 }; /* how it is opened */
enum { PERSISTENT = 1 };                                                          /* how a statement is made */

#define FUNCTIONS(EACH)                                                                                                \
    EACH(int, open_v2, (const char *, Database **, int, const char *))                                                 \
    EACH(int, close_v2, (Database *))                                                                                  \
    EACH(int, prepare_v3, (Database *, const char *, int, unsigned, Statement **, const char **))                      \
    EACH(int, finalize, (Statement *))                                                                                 \
    EACH(int, bind_text, (Statement *, int, const char *, int, void (*)(void *)))                                      \
    EACH(int, bind_blob, (Statement *, int, const void *, int, void (*)(void *)))                                      \
    EACH(int, step, (Statement *))                                                                                     \
    EACH(int, reset, (Statement *))                                                                                    \
    EACH(int, column_count, (Statement *))                                                                             \
    EACH(const void *, column_blob, (Statement *, int))                                                                \
    EACH(const unsigned char *, column_text, (Statement *, int))                                                       \
    EACH(int, column_bytes, (Statement *, int))                                                                        \
    EACH(long long, column_int64, (Statement *, int))                                                                  \
    EACH(double, column_double, (Statement *, int))                                                                    \
    EACH(const char *, errmsg, (Database *))

#define POINTER(type, name, arguments) type(*name) arguments;
static struct {
    FUNCTIONS(POINTER)
} sqlite;

#define FIND(type, name, arguments) && (*(void **)&sqlite.name = dlsym(library, "sqlite3_" #name)) != NULL
static int
find_functions(void)
{
    PyObject *module = PyImport_ImportModule("_sqlite3"), *name = NULL;
    PyObject *file = module == NULL ? NULL : PyObject_GetAttrString(module, "__file__");
    void *library = NULL;
    if (file != NULL && PyUnicode_FSConverter(file, &name))
        library = dlopen(PyBytes_AS_STRING(name), RTLD_LAZY | RTLD_NOLOAD);
    Py_XDECREF(name);
    Py_XDECREF(file);
    Py_XDECREF(module);
    if (library != NULL FUNCTIONS(FIND)) {
        /* Where the program itself, or what was loaded before it, has an SQLite, Python's module speaks to that one. */
        void *first = dlsym(RTLD_DEFAULT, "sqlite3_open_v2");
        if (first == NULL || first == *(void **)&sqlite.open_v2)
            return 0;
    }
    PyErr_SetString(PyExc_ImportError, "it cannot be told which SQLite Python speaks to");
    return -1;
}

/* -- a row --------------------------------------------------------------------------------------------------------- */

/* Columns of the statement, and so of a binding, as it is told in engine.core.binding, but for X and the caller. */
enum { SUBS_ID, VERSION, MODE, TEL_Y, CALLEE, PRESENTED, PLATFORM, USER, ORDER_ID, SCENARIO, EXPIRES_AT, BESIDE, COLUMNS };
enum { TEL_X_AT = 3, CALLER_AT = 5, CONDITIONS_AT = 13, FIELDS };
static const int PLACES[] = {0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 12};

typedef struct {
    PyObject_HEAD
    Database *database;
    Statement *statement;
    int is_asked;
    PyTypeObject *binding;
    PyObject *conditions;
    PyObject *last[COLUMNS]; /* texts that many bindings share, as they were found last */
    ShortKeys callers, callees;
} TargetReader;

static PyObject *
raise_error(const TargetReader *self)
{
    PyObject *module = PyImport_ImportModule("sqlite3");
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, "DatabaseError");
    if (type != NULL)
        PyErr_SetString(type, sqlite.errmsg(self->database));
    Py_XDECREF(type);
    Py_XDECREF(module);
    return NULL;
}

/* The text that is known to be the same, or else a new one. */
static PyObject *
text_of(const TargetReader *self, int column, PyObject *known)
{
    const char *octets = (const char *)sqlite.column_text(self->statement, column);
    Py_ssize_t size = sqlite.column_bytes(self->statement, column), known_size = -1;
    const char *same = known == NULL ? NULL : PyUnicode_AsUTF8AndSize(known, &known_size);
    if (octets == NULL)
        return PyErr_Format(PyExc_ValueError, "no text");
    if (known_size == size && memcmp(same, octets, (size_t)size) == 0)
        return Py_NewRef(known);
    return PyUnicode_DecodeUTF8(octets, size, NULL);
}

static PyObject *
shared_text_of(TargetReader *self, int column)
{
    PyObject *text = text_of(self, column, self->last[column]);
    if (text != NULL && text != self->last[column])
        Py_XSETREF(self->last[column], Py_NewRef(text));
    return text;
}

static PyObject *
callee_of(TargetReader *self)
{
    unsigned char clear[BLOCK];
    const void *hidden = sqlite.column_blob(self->statement, CALLEE);
    Py_ssize_t size = sqlite.column_bytes(self->statement, CALLEE) - BLOCK;
    if (!is_short(size) || !reveal(&self->callees, hidden, size, clear))
        return PyErr_Format(PyExc_ValueError, "not a short text");
    return PyUnicode_DecodeUTF8((const char *)clear, size, NULL);
}

static PyObject *
value_of(TargetReader *self, int column, PyObject *x)
{
    switch (column) {
    case SUBS_ID:
    case ORDER_ID:
        return text_of(self, column, NULL);
    case VERSION:
        return PyLong_FromLongLong(sqlite.column_int64(self->statement, column));
    case CALLEE:
        return callee_of(self);
    case PRESENTED:
        return text_of(self, column, x);
    case EXPIRES_AT:
        return PyFloat_FromDouble(sqlite.column_double(self->statement, column));
    default:
        return shared_text_of(self, column);
    }
}

static PyObject *
row_of(TargetReader *self, PyObject *x, PyObject *caller)
{
    PyObject *binding = self->binding->tp_alloc(self->binding, FIELDS);
    if (binding == NULL)
        return NULL;
#if PY_VERSION_HEX >= 0x030e0000
    ((PyTupleObject *)binding)->ob_hash = -1; /* not known yet: a tuple remembers it there, and this one comes zeroed */
#endif
    PyTuple_SET_ITEM(binding, TEL_X_AT, Py_NewRef(x));
    PyTuple_SET_ITEM(binding, CALLER_AT, Py_NewRef(caller));
    PyTuple_SET_ITEM(binding, CONDITIONS_AT, Py_NewRef(self->conditions));
    for (int column = 0; column < BESIDE; column++) {
        PyObject *value = value_of(self, column, x);
        if (value == NULL) {
            Py_DECREF(binding);
            return NULL;
        }
        PyTuple_SET_ITEM(binding, PLACES[column], value);
    }
    PyObject *beside = PyLong_FromLongLong(sqlite.column_int64(self->statement, BESIDE));
    PyObject *found = beside == NULL ? NULL : PyTuple_New(2);
    if (found == NULL) {
        Py_XDECREF(beside);
        Py_DECREF(binding);
        return NULL;
    }
    PyTuple_SET_ITEM(found, 0, binding);
    PyTuple_SET_ITEM(found, 1, beside);
    return found;
}

static PyObject *
find(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    TargetReader *self = (TargetReader *)object;
    unsigned char hidden[2 * BLOCK];
    Py_ssize_t x_size, size;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "find takes X and a caller");
    const char *x = PyUnicode_AsUTF8AndSize(arguments[0], &x_size);
    const char *caller = x == NULL ? NULL : PyUnicode_AsUTF8AndSize(arguments[1], &size);
    if (caller == NULL)
        return NULL;
    if (!is_short(size) || x_size > INT_MAX)
        return PyErr_Format(PyExc_ValueError, "not a short text");
    if (self->statement == NULL || self->is_asked)
        return PyErr_Format(PyExc_ValueError, "closed, or asked by another thread");
    hide(&self->callers, caller, size, hidden);
    int status = sqlite.bind_text(self->statement, 1, x, (int)x_size, NULL);
    if (status == 0)
        status = sqlite.bind_blob(self->statement, 2, hidden, BLOCK + (int)size, NULL);
    if (status != 0)
        return raise_error(self);
    self->is_asked = 1;
    Py_BEGIN_ALLOW_THREADS
    status = sqlite.step(self->statement);
    Py_END_ALLOW_THREADS
    self->is_asked = 0;
    PyObject *found;
    if (status == ROW)
        found = row_of(self, arguments[0], arguments[1]);
    else
        found = status == DONE ? Py_NewRef(Py_None) : raise_error(self);
    sqlite.reset(self->statement);
    return found;
}

/* -- the module ---------------------------------------------------------------------------------------------------- */

static PyObject *
close_reader(PyObject *object, PyObject *nothing)
{
    TargetReader *self = (TargetReader *)object;
    (void)nothing;
    if (self->is_asked)
        return PyErr_Format(PyExc_ValueError, "asked by another thread");
    sqlite.finalize(self->statement);
    self->statement = NULL;
    sqlite.close_v2(self->database);
    self->database = NULL;
    Py_RETURN_NONE;
}

static PyObject *
new_reader(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    const char *uri, *statement;
    const unsigned char *key, *callers, *callees;
    Py_ssize_t key_size, callers_size, callees_size;
    PyTypeObject *binding;
    PyObject *conditions;
    if (named != NULL && PyDict_GET_SIZE(named) != 0)
        return PyErr_Format(PyExc_TypeError, "TargetReader takes no names of arguments");
    if (!PyArg_ParseTuple(arguments, "ssy#y#y#O!O", &uri, &statement, &key, &key_size, &callers, &callers_size, &callees,
                          &callees_size, &PyType_Type, &binding, &conditions))
        return NULL;
    if (key_size != 2 * HALF || callers_size != BLOCK || callees_size != BLOCK)
        return PyErr_Format(PyExc_ValueError, "a key of %d bytes and two mixers of %d", 2 * HALF, BLOCK);
    if (!PyType_IsSubtype(binding, &PyTuple_Type))
        return PyErr_Format(PyExc_TypeError, "no tuple");
    TargetReader *self = (TargetReader *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->binding = (PyTypeObject *)Py_NewRef((PyObject *)binding);
    self->conditions = Py_NewRef(conditions);
    set_keys(&self->callers, key, callers);
    set_keys(&self->callees, key, callees);
    if (sqlite.open_v2(uri, &self->database, READ_ONLY | URI | NO_MUTEX | PRIVATE_CACHE, NULL) != 0
        || sqlite.prepare_v3(self->database, statement, -1, PERSISTENT, &self->statement, NULL) != 0) {
        raise_error(self);
        Py_DECREF(self);
        return NULL;
    }
    if (sqlite.column_count(self->statement) != COLUMNS) {
        Py_DECREF(self);
        return PyErr_Format(PyExc_ValueError, "a statement of %d columns", COLUMNS);
    }
    return (PyObject *)self;
}

static void
drop_reader(PyObject *object)
{
    TargetReader *self = (TargetReader *)object;
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(close_reader(object, NULL));
    for (int column = 0; column < COLUMNS; column++)
        Py_XDECREF(self->last[column]);
    Py_XDECREF(self->conditions);
    Py_XDECREF((PyObject *)self->binding);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"find", (PyCFunction)(void (*)(void))find, METH_FASTCALL, "The binding of X and a caller, and what is beside."},
    {"close", close_reader, METH_NOARGS, "Nothing is found any more."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_reader},
    {Py_tp_dealloc, drop_reader},
    {Py_tp_methods, methods},
    {Py_tp_doc, "The point read of each call."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "engine.store.target_read.TargetReader",
    .basicsize = sizeof(TargetReader),
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
    if (find_functions() < 0)
        return -1;
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddObjectRef(module, "TargetReader", type);
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
    .m_name = "engine.store.target_read",
    .m_doc = "The point read of each call.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_target_read(void)
{
    return PyModuleDef_Init(&module);
}
