/* sipstack.head_scan: what head_look.h finds in the bytes of one message, as objects (docs/decisions/0042), and what
 * else is looked at in C (head_functions.h).
 *
 * What goes in and comes out is told in head_scan.pyi. No object is made before all has been looked at.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "head_functions.h"
#include "head_look.h"
#include "head_values.h"

#define PARTS 30 /* what is told of a message */
#define MEMORY 64 /* texts that are remembered, none of them longer; where two want one place, the later has it */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Spellings known;
    Py_ssize_t id_count;
    int ack; /* its place in `methods`, -1 where it has none */
    PyObject *methods[MAX_METHODS], *transports[3], *empty, *remembered[MEMORY];
} Scanner;

/* -- what has been found, as objects ------------------------------------------------------------------------------- */

/* A text that few far ends have, and in each of their messages: made once. */
static PyObject *
shared(Scanner *self, Span part)
{
    PyObject **place, *made;
    if (part.size < 1 || part.size > MEMORY)
        return text(part);
    place = &self->remembered[(size_t)(part.size * 7 + part.at[0] + part.at[part.size - 1] * 3) % MEMORY];
    if (*place != NULL && PyUnicode_GET_LENGTH(*place) == part.size &&
        memcmp(PyUnicode_1BYTE_DATA(*place), part.at, (size_t)part.size) == 0)
        return Py_NewRef(*place);
    if ((made = text(part)) != NULL)
        Py_XSETREF(*place, Py_NewRef(made));
    return made;
}

/* What a transaction is known by: branch and method; sent-by between them and the INVITE's method for its ACK, where it
 * is a request's. Empty for a branch of RFC 2543. */
static PyObject *
key_of(const Scanner *self, const Found *found, int is_ack)
{
    static const char cookie[] = "z9hG4bK";
    PyObject *method = self->methods[found->method], *made;
    Span parts[3] = {found->branch, found->sent_by, {"INVITE", 6}};
    Py_ssize_t size = 0;
    char *at;
    if (!is_ack)
        parts[2] = (Span){(const char *)PyUnicode_1BYTE_DATA(method), PyUnicode_GET_LENGTH(method)};
    if (found->status == 0 && (found->branch.size < (Py_ssize_t)sizeof(cookie) ||
                               memcmp(found->branch.at, cookie, sizeof(cookie) - 1) != 0))
        return Py_NewRef(self->empty);
    if (found->status != 0)
        parts[1] = parts[2];
    for (int i = 0; i < (found->status == 0 ? 3 : 2); i++)
        size += parts[i].size + (i > 0);
    made = PyUnicode_New(size, 0x7f);
    if (made == NULL)
        return NULL;
    at = (char *)PyUnicode_1BYTE_DATA(made);
    for (int i = 0; i < (found->status == 0 ? 3 : 2); i++) {
        if (i > 0)
            *at++ = ' ';
        memcpy(at, parts[i].at, (size_t)parts[i].size);
        at += parts[i].size;
    }
    return made;
}

#define ADD(object)                             \
    do {                                        \
        if ((parts[count] = (object)) == NULL)  \
            return count;                       \
        count++;                                \
    } while (0)
#define ADD_IF(there, object) ADD((there) ? (object) : Py_NewRef(self->empty))
#define ADD_NUMBER(there, number) ADD(PyLong_FromLong((there) ? (number) : 0))

/* Fills in all that `make` is told behind the bytes -> how much there is: less than PARTS without memory. */
static int
find_parts_of(Scanner *self, PyObject *data, const Found *found, PyObject **parts)
{
    int has_keys = !(found->odd & ODD_KEYS), has_request = found->status == 0 && !(found->odd & ODD_REQUEST);
    int is_ack = found->status == 0 && found->method == self->ack, has_via, count = 0;
    PyObject *key;
    ADD(PyLong_FromLong(found->odd));
    ADD(values_of(data, found, self->id_count));
    ADD(PyBytes_FromStringAndSize(found->body.at, found->body.size));
    ADD_IF(found->method >= 0, Py_NewRef(self->methods[found->method]));
    ADD_IF(found->status == 0, text(found->uri_text));
    ADD(PyLong_FromLong(found->status));
    ADD_IF(found->status != 0, shared(self, found->reason));
    ADD_IF(found->contact.size > 0, text(found->contact));
    ADD(key = has_keys ? key_of(self, found, is_ack) : Py_NewRef(self->empty));
    ADD(PyBool_FromLong(has_keys && !(found->repeated >> self->known.fields[VIA] & 1)));
    ADD_IF(has_keys, text(found->from_tag));
    ADD_IF(has_keys, text(found->to_tag));
    ADD_IF(has_keys, text(found->call_id));
    ADD_NUMBER(has_keys, found->cseq);
    has_via = has_keys && found->status == 0 && !(is_ack && key != self->empty);
    ADD_IF(has_via, text(found->via));
    ADD_IF(has_via, Py_NewRef(self->transports[found->transport]));
    ADD_IF(has_via, shared(self, found->via_host));
    ADD_NUMBER(has_via, found->via_port);
    ADD_IF(has_via, text(found->via_params));
    ADD_IF(has_via, text(found->branch));
    ADD(PyBool_FromLong(has_via && found->asks_rport));
    ADD_IF(has_via && found->addresses.size > 0, text(found->addresses));
    ADD_IF(has_via && found->addresses.size > 0, text(found->call_rows));
    ADD_IF(has_request, text(found->user));
    ADD_IF(has_request, shared(self, found->host));
    ADD_NUMBER(has_request, found->port);
    ADD_IF(has_request, shared(self, found->params));
    ADD(PyLong_FromLong(has_request ? found->forwards : -1));
    return count;
}

static PyObject *
scan(PyObject *callable, PyObject *const *given, size_t count, PyObject *names)
{
    PyObject *parts[PARTS], *made = NULL;
    Found found;
    int has;
    if (PyVectorcall_NARGS(count) != 3 || names != NULL || !PyBytes_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "a scanner takes a maker, the bytes of one message and whether it is framed");
        return NULL;
    }
    if (!look(&((Scanner *)callable)->known, PyBytes_AS_STRING(given[1]), PyBytes_GET_SIZE(given[1]), &found))
        Py_RETURN_NONE;
    parts[0] = Py_NewRef(given[1]);
    parts[1] = Py_NewRef(given[2]);
    has = 2 + find_parts_of((Scanner *)callable, given[1], &found, parts + 2);
    if (has == PARTS)
        made = PyObject_Vectorcall(given[0], parts, PARTS, NULL);
    while (has > 0)
        Py_DECREF(parts[--has]);
    return made;
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
        if (PyUnicode_CompareWithASCIIString(method, "ACK") == 0)
            self->ack = self->known.method_count;
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
    if (id_count < 1 || id_count > MAX_IDS || max_lines < 0 || max_lines > MAX_LINES || max_head < 0 || max_line < 0 ||
        max_uri < 0) {
        PyErr_SetString(PyExc_ValueError, "too many ids or lines for a scanner, or a limit below 0");
        return NULL;
    }
    self = (Scanner *)type->tp_alloc(type, 0); /* zeroed */
    if (self == NULL)
        return NULL;
    self->call = scan;
    self->id_count = id_count;
    self->ack = -1;
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
    for (int i = 0; i < MAX_METHODS; i++)
        Py_XDECREF(self->methods[i]);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(self->transports[i]);
    for (int i = 0; i < MEMORY; i++)
        Py_XDECREF(self->remembered[i]);
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

/* -- the module ---------------------------------------------------------------------------------------------------- */

static int
fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddObjectRef(module, "Scanner", type);
    Py_XDECREF(type);
    fill_classes();
    return status < 0 ? status : PyType_Ready(&values_type);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "sipstack.head_scan",
    .m_doc = "The usual spelling of a message, read in one pass.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_head_scan(void)
{
    return PyModuleDef_Init(&module);
}
