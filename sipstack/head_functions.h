/* What sipstack.head_scan offers beside the scan: what description_look.h finds in a session description
 * (docs/decisions/0054), text_look.h in a text and head_look.h in an address (docs/decisions/0059), and the bytes of a
 * message that leaves (docs/decisions/0064). For head_scan.c alone.
 */
#ifndef HEAD_FUNCTIONS_H
#define HEAD_FUNCTIONS_H

#include "description_look.h"
#include "head_look.h"
#include "text_look.h"

/* Puts an object at the next place of the tuple; its maker returns NULL when there is no object. */
#define PUT(object)                          \
    do {                                     \
        PyObject *item = (object);           \
        if (item == NULL) {                  \
            Py_DECREF(made);                 \
            return NULL;                     \
        }                                    \
        PyTuple_SET_ITEM(made, at++, item);  \
    } while (0)

/* -- session descriptions ------------------------------------------------------------------------------------------ */

/* Fills in what is found -> 1, 0 for a description that is not as usual, -1 with TypeError for what is none. */
static int
find_parts(PyObject *body, Description *found)
{
    if (!PyBytes_Check(body)) {
        PyErr_SetString(PyExc_TypeError, "a description is bytes");
        return -1;
    }
    return look_at_description(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), found);
}

static PyObject *
octets(Span part)
{
    return PyBytes_FromStringAndSize(part.at, part.size);
}

static PyObject *
usual_parts(PyObject *module, PyObject *body)
{
    Description found;
    int status = find_parts(body, &found);
    PyObject *made;
    Py_ssize_t at = 0;
    (void)module;
    if (status <= 0)
        return status < 0 ? NULL : Py_NewRef(Py_None);
    made = PyTuple_New(3);
    if (made == NULL)
        return NULL;
    PUT(octets(found.origin));
    PUT(octets(span(found.crossing, found.attributes.at + found.attributes.size)));
    PUT(octets(found.attributes));
    return made;
}

static PyObject *
plain_attributes(PyObject *module, PyObject *body)
{
    Description found;
    int status = find_parts(body, &found);
    (void)module;
    if (status < 0)
        return NULL;
    return status > 0 && is_nobodys(&found) ? octets(found.attributes) : Py_NewRef(Py_None);
}

/* -- texts --------------------------------------------------------------------------------------------------------- */

static PyObject *
has_few_digits(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    const char *text;
    (void)module;
    if (count != 2 || !PyBytes_Check(given[0]) || !PyBytes_Check(given[1]) || PyBytes_GET_SIZE(given[1]) != 256) {
        PyErr_SetString(PyExc_TypeError, "a text and the kinds of all octets are bytes");
        return NULL;
    }
    text = PyBytes_AS_STRING(given[0]);
    return PyBool_FromLong(
        is_of_words((const uint8_t *)PyBytes_AS_STRING(given[1]), text, text + PyBytes_GET_SIZE(given[0])));
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

static PyObject *
usual_user(PyObject *module, PyObject *value)
{
    Span user, host, params;
    int port;
    const char *at, *end;
    (void)module;
    if (!PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "an address is text");
        return NULL;
    }
    if (PyUnicode_IS_COMPACT_ASCII(value)) {
        at = (const char *)PyUnicode_1BYTE_DATA(value);
        end = at + PyUnicode_GET_LENGTH(value);
        if (TAKES(at, end, "<") && (at = usual_uri(at, end, &user, &host, &port, &params)) != NULL && end - at == 1 &&
            *at == '>')
            return PyUnicode_FromStringAndSize(user.at, user.size);
    }
    return PyUnicode_New(0, 0);
}

/* -- messages that leave ------------------------------------------------------------------------------------------- */

#define LENGTH_ROW "Content-Length: "
#define LAST_ENDS "\r\n\r\n"
#define MOST_DIGITS 20

/* Rows that are ASCII, joined by line ends, the length of the body in a row of its own, and the body. */
static PyObject *
rendered(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    char digits[MOST_DIGITS], *first = digits + MOST_DIGITS, *at;
    PyObject *made;
    Py_ssize_t rows, body_size, left, size;
    (void)module;
    if (count != 2 || !PyList_Check(given[0]) || !PyBytes_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "a list of rows and the bytes of a body are rendered");
        return NULL;
    }
    rows = PyList_GET_SIZE(given[0]);
    left = body_size = PyBytes_GET_SIZE(given[1]);
    do
        *--first = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    size = 2 * rows + (Py_ssize_t)sizeof(LENGTH_ROW LAST_ENDS) - 1 + (digits + MOST_DIGITS - first) + body_size;
    for (Py_ssize_t i = 0; i < rows; i++) {
        PyObject *row = PyList_GET_ITEM(given[0], i);
        if (!PyUnicode_Check(row) || !PyUnicode_IS_COMPACT_ASCII(row))
            return Py_NewRef(Py_None);
        size += PyUnicode_GET_LENGTH(row);
    }
    if ((made = PyBytes_FromStringAndSize(NULL, size)) == NULL)
        return NULL;
    at = PyBytes_AS_STRING(made);
    for (Py_ssize_t i = 0; i < rows; i++) {
        PyObject *row = PyList_GET_ITEM(given[0], i);
        memcpy(at, PyUnicode_1BYTE_DATA(row), (size_t)PyUnicode_GET_LENGTH(row));
        at += PyUnicode_GET_LENGTH(row);
        *at++ = '\r';
        *at++ = '\n';
    }
    memcpy(at, LENGTH_ROW, sizeof(LENGTH_ROW) - 1);
    at += sizeof(LENGTH_ROW) - 1;
    memcpy(at, first, (size_t)(digits + MOST_DIGITS - first));
    at += digits + MOST_DIGITS - first;
    memcpy(at, LAST_ENDS, sizeof(LAST_ENDS) - 1);
    at += sizeof(LAST_ENDS) - 1;
    memcpy(at, PyBytes_AS_STRING(given[1]), (size_t)body_size);
    return made;
}

static PyMethodDef functions[] = {
    {"usual_parts", usual_parts, METH_O, "The parts of a description of one medium."},
    {"plain_attributes", plain_attributes, METH_O, "The attributes of one that names nobody."},
    {"has_few_digits", (PyCFunction)(void (*)(void))has_few_digits, METH_FASTCALL, "Whether a text is one of words."},
    {"usual_user", usual_user, METH_O, "The user of an address in its usual spelling."},
    {"rendered", (PyCFunction)(void (*)(void))rendered, METH_FASTCALL, "The bytes of a message of these rows."},
    {NULL, NULL, 0, NULL},
};

#endif
