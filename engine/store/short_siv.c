/* engine.store.short_siv: one short text with AES-256-SIV by the processor's own AES (docs/decisions/0050).
 *
 * What goes in and comes out is told in short_siv.pyi. No table is looked up and nothing branches on a secret.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__)

#include <string.h>
#include <wmmintrin.h>

#define BLOCK 16
#define HALF 32 /* bytes of a key of AES-256 */
#define ROUNDS 14
#define WITH_AES __attribute__((target("aes,sse2")))

typedef struct {
    unsigned char keys[ROUNDS + 1][BLOCK];
} Aes;

typedef struct {
    PyObject_HEAD
    Aes tag, stream;
    unsigned char mixer[BLOCK];
} ShortColumn;

/* -- a block ------------------------------------------------------------------------------------------------------- */

static inline WITH_AES __m128i
load(const void *octets)
{
    return _mm_loadu_si128((const __m128i *)octets);
}

static inline WITH_AES void
store(void *octets, __m128i block)
{
    _mm_storeu_si128((__m128i *)octets, block);
}

/* Four words of the schedule (FIPS 197, figure 11) of the four that stand eight before them. */
static inline WITH_AES __m128i
next_words(__m128i words, __m128i mixed)
{
    for (int i = 0; i < 3; i++)
        words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
    return _mm_xor_si128(words, mixed);
}

/* The constant of a round is a part of the instruction, so the rounds are written out. */
#define EVEN(at, constant)                                                                                             \
    even = next_words(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, constant), 0xff));                        \
    store(aes->keys[at], even)
#define ODD(at)                                                                                                        \
    odd = next_words(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xaa));                                \
    store(aes->keys[at], odd)

static WITH_AES void
set_key(Aes *aes, const unsigned char *key)
{
    __m128i even = load(key), odd = load(key + BLOCK);
    store(aes->keys[0], even);
    store(aes->keys[1], odd);
    EVEN(2, 0x01);
    ODD(3);
    EVEN(4, 0x02);
    ODD(5);
    EVEN(6, 0x04);
    ODD(7);
    EVEN(8, 0x08);
    ODD(9);
    EVEN(10, 0x10);
    ODD(11);
    EVEN(12, 0x20);
    ODD(13);
    EVEN(14, 0x40);
}

static WITH_AES __m128i
encrypt_block(const Aes *aes, __m128i block)
{
    block = _mm_xor_si128(block, load(aes->keys[0]));
    for (int i = 1; i < ROUNDS; i++)
        block = _mm_aesenc_si128(block, load(aes->keys[i]));
    return _mm_aesenclast_si128(block, load(aes->keys[ROUNDS]));
}

/* -- a text -------------------------------------------------------------------------------------------------------- */

static WITH_AES __m128i
tag_of(const ShortColumn *self, __m128i padded)
{
    return encrypt_block(&self->tag, _mm_xor_si128(padded, load(self->mixer)));
}

/* RFC 5297 §2.5: two bits of the tag are none of the counter's. */
static WITH_AES __m128i
stream_of(const ShortColumn *self, __m128i tag)
{
    const __m128i counted = _mm_set_epi32(0xffffff7f, 0xffffff7f, -1, -1);
    return encrypt_block(&self->stream, _mm_and_si128(tag, counted));
}

static WITH_AES PyObject *
encrypt(PyObject *object, PyObject *text)
{
    const ShortColumn *self = (const ShortColumn *)object;
    unsigned char padded[BLOCK] = {0}, out[2 * BLOCK];
    Py_ssize_t size;
    const char *octets = PyUnicode_AsUTF8AndSize(text, &size);
    if (octets == NULL)
        return NULL;
    if (size == 0 || size >= BLOCK)
        Py_RETURN_NONE;
    memcpy(padded, octets, (size_t)size);
    padded[size] = 0x80;
    __m128i tag = tag_of(self, load(padded));
    store(out, tag);
    store(out + BLOCK, _mm_xor_si128(load(padded), stream_of(self, tag)));
    return PyBytes_FromStringAndSize((const char *)out, BLOCK + size);
}

static WITH_AES PyObject *
decrypt(PyObject *object, PyObject *blob)
{
    const ShortColumn *self = (const ShortColumn *)object;
    unsigned char padded[BLOCK] = {0}, clear[BLOCK];
    char *octets;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(blob, &octets, &size) < 0)
        return NULL;
    size -= BLOCK;
    if (size <= 0 || size >= BLOCK)
        Py_RETURN_NONE;
    __m128i tag = load(octets);
    memcpy(padded, octets + BLOCK, (size_t)size);
    store(clear, _mm_xor_si128(load(padded), stream_of(self, tag)));
    memset(clear + size, 0, (size_t)(BLOCK - size));
    clear[size] = 0x80;
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(tag_of(self, load(clear)), tag)) != 0xffff)
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
    set_key(&self->tag, key);
    set_key(&self->stream, key + HALF);
    memcpy(self->mixer, mixer, BLOCK);
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
