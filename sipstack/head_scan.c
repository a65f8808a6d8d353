/* sipstack.head_scan: what head_look.h finds in the bytes of one message, as objects (docs/decisions/0042).
 *
 * What goes in and comes out is told in head_scan.pyi. No object is made before all has been looked at.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "head_look.h"

#define RESULTS 24

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Spellings known;
    Py_ssize_t id_count;
    PyObject *ids[MAX_IDS], *methods[MAX_METHODS], *transports[3], *empty;
} Scanner;

/* Texts are ASCII: line_end lets nothing else pass. */
static inline PyObject *
text(Span part)
{
    PyObject *made = PyUnicode_New(part.size, 0x7f);
    if (made != NULL)
        memcpy(PyUnicode_1BYTE_DATA(made), part.at, (size_t)part.size);
    return made;
}

static PyObject *
list_of_ids(const Scanner *self, const Found *found)
{
    PyObject *list = PyList_New(found->line_count);
    for (Py_ssize_t i = 0; list != NULL && i < found->line_count; i++)
        PyList_SET_ITEM(list, i, Py_NewRef(self->ids[found->ids[i]]));
    return list;
}

static PyObject *
list_of_first(const Scanner *self, const Found *found)
{
    PyObject *list = PyList_New(self->id_count);
    for (Py_ssize_t id = 0; list != NULL && id < self->id_count; id++) {
        PyObject *value = HAS(found, id) ? text(found->first[id]) : Py_NewRef(Py_None);
        if (value == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, id, value);
    }
    return list;
}

/* A tuple of all that has been found; NULL without memory. */
static PyObject *
objects(const Scanner *self, const Found *found)
{
    int has_keys = !(found->odd & ODD_KEYS), has_request = found->status == 0 && !(found->odd & ODD_REQUEST);
    Py_ssize_t at = 0;
    PyObject *made = PyTuple_New(RESULTS);
    if (made == NULL)
        return NULL;
#define PUT(object)                                  \
    do {                                             \
        PyObject *item = (object);                   \
        if (item == NULL) {                          \
            Py_DECREF(made);                         \
            return NULL;                             \
        }                                            \
        PyTuple_SET_ITEM(made, at++, item);          \
    } while (0)
#define PUT_TEXT(there, part) PUT((there) ? text(found->part) : Py_NewRef(self->empty))
#define PUT_NUMBER(there, part) PUT(PyLong_FromLong((there) ? found->part : 0))
    PUT_NUMBER(1, odd);
    PUT(list_of_ids(self, found));
    PUT(list_of_first(self, found));
    PUT(PyBytes_FromStringAndSize(found->body.at, found->body.size));
    PUT(Py_NewRef(found->method < 0 ? self->empty : self->methods[found->method]));
    PUT_TEXT(found->status == 0, uri_text);
    PUT_NUMBER(1, status);
    PUT_TEXT(found->status != 0, reason);
    PUT_TEXT(has_keys, via);
    PUT(Py_NewRef(has_keys ? self->transports[found->transport] : self->empty));
    PUT_TEXT(has_keys, via_host);
    PUT_NUMBER(has_keys, via_port);
    PUT_TEXT(has_keys, via_params);
    PUT_TEXT(has_keys, branch);
    PUT(PyBool_FromLong(has_keys && found->asks_rport));
    PUT_TEXT(has_keys, from_tag);
    PUT_TEXT(has_keys, to_tag);
    PUT_TEXT(has_keys, call_id);
    PUT_NUMBER(has_keys, cseq);
    PUT_TEXT(has_request, user);
    PUT_TEXT(has_request, host);
    PUT_NUMBER(has_request, port);
    PUT_TEXT(has_request, params);
    PUT_NUMBER(has_request, forwards);
    return made;
}

static PyObject *
scan(PyObject *callable, PyObject *const *arguments, size_t count, PyObject *names)
{
    const Scanner *self = (const Scanner *)callable;
    Found found;
    if (PyVectorcall_NARGS(count) != 1 || names != NULL || !PyBytes_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "a scanner takes the bytes of one message");
        return NULL;
    }
    if (!look(&self->known, PyBytes_AS_STRING(arguments[0]), PyBytes_GET_SIZE(arguments[0]), &found))
        Py_RETURN_NONE;
    return objects(self, &found);
}

/* -- what a scanner is made of ------------------------------------------------------------------------------------- */

/* -1 with ValueError where a spelling does not fit: it is ASCII, and neither empty nor longer than `limit`. */
static int
fits(PyObject *word, Py_ssize_t limit)
{
    if (PyUnicode_Check(word) && PyUnicode_IS_ASCII(word) && PyUnicode_GET_LENGTH(word) > 0 &&
        PyUnicode_GET_LENGTH(word) <= limit)
        return 0;
    PyErr_Format(PyExc_ValueError, "no spelling for a scanner: %R", word);
    return -1;
}

static int
take_names(Scanner *self, PyObject *names)
{
    PyObject *name, *id;
    Py_ssize_t position = 0;
    if (PyDict_GET_SIZE(names) > SLOTS / 2) {
        PyErr_SetString(PyExc_ValueError, "too many names for a scanner");
        return -1;
    }
    while (PyDict_Next(names, &position, &name, &id)) {
        long number = PyLong_AsLong(id);
        unsigned slot;
        if (fits(name, MAX_NAME) < 0)
            return -1;
        if (number < 0 || number >= self->id_count) {
            PyErr_Format(PyExc_ValueError, "no id for a scanner: %R", id);
            return -1;
        }
        slot = name_slot((const char *)PyUnicode_1BYTE_DATA(name), PyUnicode_GET_LENGTH(name));
        while (self->known.names[slot].size != 0)
            slot = (slot + 1) % SLOTS;
        self->known.names[slot].size = (uint8_t)PyUnicode_GET_LENGTH(name);
        self->known.names[slot].id = (uint8_t)number;
        memcpy(self->known.names[slot].text, PyUnicode_1BYTE_DATA(name), (size_t)PyUnicode_GET_LENGTH(name));
    }
    return 0;
}

static int
take_methods(Scanner *self, PyObject *methods)
{
    if (PyTuple_GET_SIZE(methods) > MAX_METHODS) {
        PyErr_SetString(PyExc_ValueError, "too many methods for a scanner");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(methods); i++) {
        PyObject *method = PyTuple_GET_ITEM(methods, i);
        if (fits(method, MAX_METHOD) < 0)
            return -1;
        self->known.methods[i].size = (uint8_t)PyUnicode_GET_LENGTH(method);
        memcpy(self->known.methods[i].text, PyUnicode_1BYTE_DATA(method), (size_t)PyUnicode_GET_LENGTH(method));
        self->methods[i] = Py_NewRef(method);
        self->known.method_count++;
    }
    return 0;
}

/* Ids of the fields that are read here, and of those that may stand once. */
static int
take_fields(Scanner *self, PyObject *fields, PyObject *single)
{
    if (PyTuple_GET_SIZE(fields) != FIELDS) {
        PyErr_SetString(PyExc_ValueError, "a scanner reads other fields");
        return -1;
    }
    for (Py_ssize_t i = 0; i < FIELDS + PyTuple_GET_SIZE(single); i++) {
        long id = PyLong_AsLong(i < FIELDS ? PyTuple_GET_ITEM(fields, i) : PyTuple_GET_ITEM(single, i - FIELDS));
        if (id < 0 || id >= self->id_count) {
            PyErr_SetString(PyExc_ValueError, "a field of a scanner has no id");
            return -1;
        }
        if (i < FIELDS)
            self->known.fields[i] = (uint8_t)id;
        else
            self->known.single |= (uint64_t)1 << id;
    }
    return 0;
}

static int
take_shared(Scanner *self)
{
    for (Py_ssize_t id = 0; id < self->id_count; id++)
        if ((self->ids[id] = PyLong_FromSsize_t(id)) == NULL)
            return -1;
    for (int i = 0; i < 3; i++)
        if ((self->transports[i] = PyUnicode_InternFromString(TRANSPORTS[i])) == NULL)
            return -1;
    return (self->empty = PyUnicode_New(0, 0)) == NULL ? -1 : 0;
}

static PyObject *
new_scanner(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    PyObject *spellings, *methods, *fields, *single;
    Py_ssize_t id_count, max_head, max_lines, max_line, max_uri;
    Scanner *self;
    if (names != NULL && PyDict_GET_SIZE(names) > 0) {
        PyErr_SetString(PyExc_TypeError, "a scanner takes no names of arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "O!nO!O!O!nnnn", &PyDict_Type, &spellings, &id_count, &PyTuple_Type, &methods,
                          &PyTuple_Type, &fields, &PyTuple_Type, &single, &max_head, &max_lines, &max_line, &max_uri))
        return NULL;
    if (id_count < 1 || id_count > MAX_IDS || max_lines > MAX_LINES) {
        PyErr_SetString(PyExc_ValueError, "too many ids or lines for a scanner");
        return NULL;
    }
    self = (Scanner *)type->tp_alloc(type, 0); /* zeroed */
    if (self == NULL)
        return NULL;
    self->call = scan;
    self->id_count = id_count;
    self->known.max_head = max_head;
    self->known.max_lines = max_lines;
    self->known.max_line = max_line;
    self->known.max_uri = max_uri;
    if (take_names(self, spellings) < 0 || take_methods(self, methods) < 0 || take_fields(self, fields, single) < 0 ||
        take_shared(self) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void
drop_scanner(PyObject *object)
{
    Scanner *self = (Scanner *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < MAX_IDS; i++)
        Py_XDECREF(self->ids[i]);
    for (int i = 0; i < MAX_METHODS; i++)
        Py_XDECREF(self->methods[i]);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(self->transports[i]);
    Py_XDECREF(self->empty);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Scanner, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_scanner},
    {Py_tp_dealloc, drop_scanner},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, members},
    {Py_tp_doc, "Reads messages in their usual spelling."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "sipstack.head_scan.Scanner",
    .basicsize = sizeof(Scanner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static int
fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddObjectRef(module, "Scanner", type);
    Py_XDECREF(type);
    fill_classes();
    return status;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "sipstack.head_scan",
    .m_doc = "The usual spelling of a message, read in one pass.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_head_scan(void)
{
    return PyModuleDef_Init(&module);
}
