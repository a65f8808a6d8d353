/* sipstack.aio.datagrams: one datagram in or out with one call of the kernel (docs/decisions/0046), and what the kernel
 * says that is ready (docs/decisions/0064).
 *
 * What goes in and comes out is told in datagrams.pyi. The socket never blocks, so the interpreter is not let go of
 * around its calls: where a thread computes, the loop would wait for it after each of them.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MAX_DATAGRAM 65536
#define PLACES 256 /* far ends that are remembered; where two want one place, the later has it */
#define NOT_MINE (-1)
#define MOST 64 /* descriptors that one look tells of; the next one tells of the others */
#define NONE (-1)

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Address;

typedef struct {
    socklen_t size; /* 0: nobody */
    Address address;
    PyObject *source;
} CameFrom;

typedef struct {
    socklen_t size;
    Address address;
    long port;
    Py_ssize_t length;
    char host[INET6_ADDRSTRLEN];
} GoesTo;

typedef struct {
    PyObject_HEAD
    int descriptor, family;
    PyObject *make;
    CameFrom came_from[PLACES];
    GoesTo goes_to[PLACES];
    char buffer[MAX_DATAGRAM];
} Datagrams;

static size_t
place_of(const void *octets, size_t size, unsigned long seed)
{
    const unsigned char *at = octets;
    for (size_t i = 0; i < size; i++)
        seed = (seed ^ at[i]) * 16777619UL;
    return (seed ^ seed >> 16) % PLACES;
}

/* -- in ------------------------------------------------------------------------------------------------------------ */

static PyObject *
new_source(const Datagrams *self, const Address *from)
{
    char host[INET6_ADDRSTRLEN];
    int is_v4 = from->any.sa_family == AF_INET;
    const void *octets = is_v4 ? (const void *)&from->v4.sin_addr : (const void *)&from->v6.sin6_addr;
    if (inet_ntop(from->any.sa_family, octets, host, sizeof host) == NULL)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyObject_CallFunction(self->make, "si", host, (int)ntohs(is_v4 ? from->v4.sin_port : from->v6.sin6_port));
}

/* What `make` gave for this address; a reference of the caller's own. */
static PyObject *
source_of(Datagrams *self, const Address *from, socklen_t size)
{
    CameFrom *known = &self->came_from[place_of(from, size, 0)];
    if (known->size != size || memcmp(&known->address, from, size) != 0) {
        PyObject *made = new_source(self, from);
        if (made == NULL)
            return NULL;
        known->size = size;
        known->address = *from;
        Py_XSETREF(known->source, made);
    }
    return Py_NewRef(known->source);
}

static PyObject *
receive(PyObject *object, PyObject *Py_UNUSED(nothing))
{
    Datagrams *self = (Datagrams *)object;
    PyObject *data, *source, *both;
    Address from;
    socklen_t size;
    ssize_t count;
    memset(&from, 0, sizeof from);
    do {
        size = sizeof from;
        count = recvfrom(self->descriptor, self->buffer, MAX_DATAGRAM, MSG_DONTWAIT, &from.any, &size);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if ((source = source_of(self, &from, size)) == NULL)
        return NULL;
    data = PyBytes_FromStringAndSize(self->buffer, count);
    both = data == NULL ? NULL : PyTuple_New(2);
    if (both == NULL) {
        Py_XDECREF(data);
        Py_DECREF(source);
        return NULL;
    }
    PyTuple_SET_ITEM(both, 0, data);
    PyTuple_SET_ITEM(both, 1, source);
    return both;
}

/* -- out ----------------------------------------------------------------------------------------------------------- */

/* 0 for what inet_pton does not take: a name, an address with a scope or a NUL in it, one of the other family. */
static int
read_address(const Datagrams *self, GoesTo *to, const char *host, Py_ssize_t length, long port)
{
    memset(to, 0, sizeof *to);
    memcpy(to->host, host, (size_t)length);
    to->port = port;
    to->length = length;
    if (strlen(to->host) != (size_t)length)
        return 0;
    if (self->family == AF_INET) {
        to->address.v4.sin_family = AF_INET;
        to->address.v4.sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, to->host, &to->address.v4.sin_addr) == 1)
            to->size = sizeof to->address.v4;
    }
    else {
        to->address.v6.sin6_family = AF_INET6;
        to->address.v6.sin6_port = htons((uint16_t)port);
        if (inet_pton(AF_INET6, to->host, &to->address.v6.sin6_addr) == 1)
            to->size = sizeof to->address.v6;
    }
    return to->size != 0;
}

static PyObject *
send_one(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    Datagrams *self = (Datagrams *)object;
    const char *host;
    Py_ssize_t length;
    long port;
    ssize_t sent;
    GoesTo *to;
    if (count != 3 || !PyBytes_Check(arguments[0]) || !PyUnicode_Check(arguments[1]) || !PyLong_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "bytes, a host and a port are sent");
        return NULL;
    }
    port = PyLong_AsLong(arguments[2]);
    if (port < 0 || port > 65535 || !PyUnicode_IS_COMPACT_ASCII(arguments[1]) ||
        (length = PyUnicode_GET_LENGTH(arguments[1])) >= INET6_ADDRSTRLEN) {
        PyErr_Clear(); /* a number beyond a long */
        return PyLong_FromLong(NOT_MINE);
    }
    host = (const char *)PyUnicode_1BYTE_DATA(arguments[1]);
    to = &self->goes_to[place_of(host, (size_t)length, (unsigned long)port)];
    if ((to->size == 0 || to->port != port || to->length != length || memcmp(to->host, host, (size_t)length) != 0) &&
        !read_address(self, to, host, length, port))
        return PyLong_FromLong(NOT_MINE);
    do {
        sent = sendto(self->descriptor, PyBytes_AS_STRING(arguments[0]), (size_t)PyBytes_GET_SIZE(arguments[0]),
                      MSG_DONTWAIT, &to->address.any, to->size);
    } while (sent < 0 && errno == EINTR);
    return PyLong_FromLong(sent < 0 ? errno : 0);
}

/* -- what it is ---------------------------------------------------------------------------------------------------- */

static PyObject *
new_datagrams(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    int descriptor, family;
    PyObject *make;
    Datagrams *self;
    if (names != NULL && PyDict_GET_SIZE(names) > 0) {
        PyErr_SetString(PyExc_TypeError, "no names of arguments are taken");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "iiO", &descriptor, &family, &make))
        return NULL;
    if (family != AF_INET && family != AF_INET6) {
        PyErr_SetString(PyExc_ValueError, "only of IPv4 and IPv6");
        return NULL;
    }
    self = (Datagrams *)type->tp_alloc(type, 0); /* zeroed */
    if (self == NULL)
        return NULL;
    self->descriptor = descriptor;
    self->family = family;
    self->make = Py_NewRef(make);
    return (PyObject *)self;
}

static void
drop_datagrams(PyObject *object)
{
    Datagrams *self = (Datagrams *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < PLACES; i++)
        Py_XDECREF(self->came_from[i].source);
    Py_XDECREF(self->make);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"receive", receive, METH_NOARGS, "The datagram that waits and where it is from, or None."},
    {"send", (PyCFunction)(void (*)(void))send_one, METH_FASTCALL, "Sends one: 0, an errno, or -1."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_datagrams},
    {Py_tp_dealloc, drop_datagrams},
    {Py_tp_methods, methods},
    {Py_tp_doc, "The datagrams of one socket."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "sipstack.aio.datagrams.Datagrams",
    .basicsize = sizeof(Datagrams),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

/* -- what is ready ------------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    int epoll, count, at;
    struct epoll_event found[MOST];
} Ready;

static PyObject *
next_ready(PyObject *object, PyObject *Py_UNUSED(nothing))
{
    Ready *self = (Ready *)object;
    return PyLong_FromLong(self->at < self->count ? self->found[self->at++].data.fd : NONE);
}

static PyObject *
wait_for_ready(PyObject *object, PyObject *left)
{
    Ready *self = (Ready *)object;
    double left_s = PyFloat_AsDouble(left);
    int wait_ms = -1;
    if (left_s == -1.0 && PyErr_Occurred())
        return NULL;
    if (left_s >= 0.0 && left_s < INT_MAX / 1000) {
        wait_ms = (int)(left_s * 1000.0);
        wait_ms += wait_ms < left_s * 1000.0; /* never early */
    }
    self->at = 0;
    if (wait_ms == 0)
        self->count = epoll_wait(self->epoll, self->found, MOST, 0);
    else {
        Py_BEGIN_ALLOW_THREADS
        self->count = epoll_wait(self->epoll, self->found, MOST, wait_ms);
        Py_END_ALLOW_THREADS
    }
    if (self->count < 0 && errno != EINTR)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (self->count < 0 && PyErr_CheckSignals() < 0)
        return NULL;
    return next_ready(object, NULL);
}

static PyObject *
new_ready(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    int epoll;
    Ready *self;
    if (names != NULL && PyDict_GET_SIZE(names) > 0) {
        PyErr_SetString(PyExc_TypeError, "no names of arguments are taken");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "i", &epoll))
        return NULL;
    self = (Ready *)type->tp_alloc(type, 0); /* zeroed */
    if (self != NULL)
        self->epoll = epoll;
    return (PyObject *)self;
}

static void
drop_ready(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef ready_methods[] = {
    {"wait", wait_for_ready, METH_O, "Waits so many seconds, and tells of one that is ready."},
    {"next", next_ready, METH_NOARGS, "Another one of the same look."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ready_slots[] = {
    {Py_tp_new, new_ready},
    {Py_tp_dealloc, drop_ready},
    {Py_tp_methods, ready_methods},
    {Py_tp_doc, "The descriptors that are ready."},
    {0, NULL},
};

static PyType_Spec ready_spec = {
    .name = "sipstack.aio.datagrams.Ready",
    .basicsize = sizeof(Ready),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ready_slots,
};

/* -- the module ---------------------------------------------------------------------------------------------------- */

static int
add_type(PyObject *module, const char *name, PyType_Spec *of)
{
    PyObject *type = PyType_FromModuleAndSpec(module, of, NULL);
    int status = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return status;
}

static int
fill_module(PyObject *module)
{
    return add_type(module, "Datagrams", &spec) < 0 ? -1 : add_type(module, "Ready", &ready_spec);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "sipstack.aio.datagrams",
    .m_doc = "Datagrams of one socket, in and out, and what is ready.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_datagrams(void)
{
    return PyModuleDef_Init(&module);
}
