/* engine.store.group_seal: a group of the journal, sealed by the processor's own AES and products (docs/decisions/0060).
 *
 * What goes in and comes out is told in group_seal.pyi. It is AES-256-GCM (NIST SP 800-38D) with a nonce of 12 octets, and
 * the CRC-32 of what has come out. No table is looked up and nothing branches on a secret.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__)

#include <stdint.h>
#include <string.h>
#include <tmmintrin.h>
#include <wmmintrin.h>

#include "aes_block.h"

#define WITH_PRODUCTS __attribute__((target("aes,pclmul,ssse3")))
#define HEAD 16 /* of a group: mark, number, length, checksum */
#define AT_ONCE 4
#define UNROLLED _Pragma("GCC unroll 4") /* else the blocks stand in memory, which takes twice as long */
#define LONGEST ((Py_ssize_t)1 << 31)

typedef struct {
    PyObject_HEAD
    Aes aes;
    unsigned char powers[AT_ONCE][BLOCK]; /* of the key of the tag, the first one first, each by x */
    unsigned char begun[BLOCK];           /* the tag behind what is only signed */
    uint64_t signed_bits;
    uint32_t number;
} GroupSeal;

/* -- the tag ------------------------------------------------------------------------------------------------------- */

/* The last octet first: so the processor has the numbers of which NIST has the bits the other way round. */
static inline WITH_PRODUCTS __m128i
turned(__m128i block)
{
    return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

typedef struct {
    __m128i low, middle, high;
} Product;

static inline WITH_PRODUCTS void
add_product(Product *sum, __m128i a, __m128i b)
{
    sum->low = _mm_xor_si128(sum->low, _mm_clmulepi64_si128(a, b, 0x00));
    sum->high = _mm_xor_si128(sum->high, _mm_clmulepi64_si128(a, b, 0x11));
    sum->middle = _mm_xor_si128(sum->middle, _mm_clmulepi64_si128(a, b, 0x01));
    sum->middle = _mm_xor_si128(sum->middle, _mm_clmulepi64_si128(a, b, 0x10));
}

/* Modulo x^128 + x^7 + x^2 + x + 1, for bits that are the other way round. */
static inline WITH_PRODUCTS __m128i
reduced(const Product *sum)
{
    __m128i low = _mm_xor_si128(sum->low, _mm_slli_si128(sum->middle, 8));
    __m128i high = _mm_xor_si128(sum->high, _mm_srli_si128(sum->middle, 8));
    __m128i left = _mm_xor_si128(_mm_slli_epi64(low, 63), _mm_slli_epi64(low, 62));
    left = _mm_xor_si128(left, _mm_slli_epi64(low, 57));
    low = _mm_xor_si128(low, _mm_slli_si128(left, 8));
    high = _mm_xor_si128(high, _mm_srli_si128(left, 8));
    __m128i right = _mm_xor_si128(_mm_srli_epi64(low, 1), _mm_srli_epi64(low, 2));
    right = _mm_xor_si128(right, _mm_srli_epi64(low, 7));
    return _mm_xor_si128(_mm_xor_si128(high, low), right);
}

static inline WITH_PRODUCTS __m128i
times(__m128i a, __m128i b)
{
    Product product = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    add_product(&product, a, b);
    return reduced(&product);
}

static inline WITH_PRODUCTS __m128i
with_block(const GroupSeal *self, __m128i tag, __m128i block)
{
    return times(_mm_xor_si128(tag, turned(block)), load(self->powers[0]));
}

static inline WITH_PRODUCTS __m128i
padded(const unsigned char *octets, Py_ssize_t size)
{
    unsigned char block[BLOCK] = {0};
    memcpy(block, octets, (size_t)size);
    return load(block);
}

static WITH_PRODUCTS void
set_powers(GroupSeal *self)
{
    __m128i key = turned(encrypt_block(&self->aes, _mm_setzero_si128()));
    uint64_t low = (uint64_t)_mm_cvtsi128_si64(key), high = (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(key, 8));
    uint64_t over = 0 - (high >> 63); /* all bits or none */
    __m128i first = _mm_set_epi64x((long long)((high << 1 | low >> 63) ^ (over & 0xc200000000000000)),
                                   (long long)(low << 1 | (over & 1)));
    __m128i power = first;
    for (int i = 0; i < AT_ONCE; i++) {
        store(self->powers[i], power);
        power = times(power, first);
    }
}

/* -- the cipher ---------------------------------------------------------------------------------------------------- */

static inline WITH_PRODUCTS __m128i
next_stream(const GroupSeal *self, __m128i *counter)
{
    *counter = _mm_add_epi32(*counter, _mm_set_epi32(0, 0, 0, 1));
    return encrypt_block(&self->aes, turned(*counter));
}

/* Writes `size` octets and the tag. */
static WITH_PRODUCTS void
seal(const GroupSeal *self, uint64_t offset, const unsigned char *plain, Py_ssize_t size, unsigned char *out)
{
    __m128i counter = _mm_set_epi64x((long long)(offset >> 32), (long long)(offset << 32));
    __m128i last = next_stream(self, &counter);
    __m128i tag = load(self->begun);
    Py_ssize_t at = 0;
    for (; size - at >= AT_ONCE * BLOCK; at += AT_ONCE * BLOCK) {
        __m128i blocks[AT_ONCE];
        UNROLLED
        for (int i = 0; i < AT_ONCE; i++) {
            counter = _mm_add_epi32(counter, _mm_set_epi32(0, 0, 0, 1));
            blocks[i] = _mm_xor_si128(turned(counter), load(self->aes.keys[0]));
        }
        for (int round = 1; round < ROUNDS; round++) {
            __m128i key = load(self->aes.keys[round]);
            UNROLLED
            for (int i = 0; i < AT_ONCE; i++)
                blocks[i] = _mm_aesenc_si128(blocks[i], key);
        }
        Product sum = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
        UNROLLED
        for (int i = 0; i < AT_ONCE; i++) {
            __m128i stream = _mm_aesenclast_si128(blocks[i], load(self->aes.keys[ROUNDS]));
            __m128i sealed = _mm_xor_si128(stream, load(plain + at + i * BLOCK));
            store(out + at + i * BLOCK, sealed);
            sealed = turned(sealed);
            add_product(&sum, i == 0 ? _mm_xor_si128(sealed, tag) : sealed, load(self->powers[AT_ONCE - 1 - i]));
        }
        tag = reduced(&sum);
    }
    for (; at < size; at += BLOCK) {
        Py_ssize_t left = size - at < BLOCK ? size - at : BLOCK;
        unsigned char block[BLOCK];
        store(block, _mm_xor_si128(next_stream(self, &counter), padded(plain + at, left)));
        memcpy(out + at, block, (size_t)left);
        tag = with_block(self, tag, padded(block, left));
    }
    __m128i bits = _mm_set_epi64x((long long)self->signed_bits, (long long)size * 8);
    tag = times(_mm_xor_si128(tag, bits), load(self->powers[0]));
    store(out + size, _mm_xor_si128(turned(tag), last));
}

/* -- the checksum -------------------------------------------------------------------------------------------------- */

/* What is left of a register of zlib's CRC-32 behind some octets, bit by bit. */
static uint32_t
checksum_by_bits(uint32_t sum, const unsigned char *octets, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        sum ^= octets[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (0xedb88320 & (0 - (sum & 1)));
    }
    return sum;
}

static inline WITH_PRODUCTS __m128i
folded(__m128i sum, __m128i by, __m128i block)
{
    __m128i both = _mm_xor_si128(_mm_clmulepi64_si128(sum, by, 0x00), _mm_clmulepi64_si128(sum, by, 0x11));
    return _mm_xor_si128(both, block);
}

/* As Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", with the constants of its annex. */
static WITH_PRODUCTS uint32_t
checksum(const unsigned char *octets, Py_ssize_t size)
{
    if (size < AT_ONCE * BLOCK)
        return ~checksum_by_bits(~(uint32_t)0, octets, size);
    const __m128i by_four = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by_one = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i to_64 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low_32 = _mm_setr_epi32(~0, 0, ~0, 0);
    __m128i sums[AT_ONCE];
    UNROLLED
    for (int i = 0; i < AT_ONCE; i++)
        sums[i] = load(octets + i * BLOCK);
    sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi32_si128(~0));
    Py_ssize_t at = AT_ONCE * BLOCK;
    for (; size - at >= AT_ONCE * BLOCK; at += AT_ONCE * BLOCK)
        UNROLLED
        for (int i = 0; i < AT_ONCE; i++)
            sums[i] = folded(sums[i], by_four, load(octets + at + i * BLOCK));
    __m128i sum = sums[0];
    for (int i = 1; i < AT_ONCE; i++)
        sum = folded(sum, by_one, sums[i]);
    for (; size - at >= BLOCK; at += BLOCK)
        sum = folded(sum, by_one, load(octets + at));
    sum = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, by_one, 0x10));
    sum = _mm_xor_si128(_mm_srli_si128(sum, 4), _mm_clmulepi64_si128(_mm_and_si128(sum, low_32), to_64, 0x00));
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(sum, low_32), barrett, 0x10);
    sum = _mm_xor_si128(sum, _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00));
    return ~checksum_by_bits((uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(sum, 4)), octets + at, size - at);
}

/* -- a group ------------------------------------------------------------------------------------------------------- */

static inline void
put_number(unsigned char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> 8 * i);
}

static void
put_group(const GroupSeal *self, uint64_t offset, const unsigned char *plain, Py_ssize_t size, unsigned char *out)
{
    seal(self, offset, plain, size, out + HEAD);
    memcpy(out, "GRP1", 4);
    put_number(out + 4, self->number);
    put_number(out + 8, (uint32_t)(size + BLOCK));
    put_number(out + 12, checksum(out + HEAD, size + BLOCK));
}

static PyObject *
put(PyObject *object, PyObject *const *given, Py_ssize_t count)
{
    if (count != 4 || !PyBytes_CheckExact(given[0]))
        return PyErr_Format(PyExc_TypeError, "put takes octets, an offset, a room and a place in it");
    Py_ssize_t size = PyBytes_GET_SIZE(given[0]);
    long long offset = PyLong_AsLongLong(given[1]);
    Py_ssize_t at = PyLong_AsSsize_t(given[3]);
    if (PyErr_Occurred())
        return NULL;
    Py_buffer room;
    if (PyObject_GetBuffer(given[2], &room, PyBUF_WRITABLE) < 0)
        return NULL;
    if (offset < 0 || size > LONGEST || at < 0 || room.len < HEAD + size + BLOCK || at > room.len - HEAD - size - BLOCK)
        PyErr_SetString(PyExc_ValueError, "there is no room for the group");
    else
        put_group((const GroupSeal *)object, (uint64_t)offset, (const unsigned char *)PyBytes_AS_STRING(given[0]), size,
                  (unsigned char *)room.buf + at);
    PyBuffer_Release(&room);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* -- the module ---------------------------------------------------------------------------------------------------- */

static WITH_PRODUCTS void
set_seal(GroupSeal *self, const unsigned char *key, const unsigned char *head, Py_ssize_t size)
{
    set_key(&self->aes, key);
    set_powers(self);
    __m128i tag = _mm_setzero_si128();
    for (Py_ssize_t at = 0; at < size; at += BLOCK)
        tag = with_block(self, tag, padded(head + at, size - at < BLOCK ? size - at : BLOCK));
    store(self->begun, tag);
    self->signed_bits = (uint64_t)size * 8;
}

static PyObject *
new_seal(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    const unsigned char *key, *head;
    Py_ssize_t key_size, head_size;
    unsigned int number;
    if (named != NULL && PyDict_GET_SIZE(named) != 0)
        return PyErr_Format(PyExc_TypeError, "GroupSeal takes no names of arguments");
    if (!PyArg_ParseTuple(arguments, "y#y#I", &key, &key_size, &head, &head_size, &number))
        return NULL;
    if (key_size != HALF)
        return PyErr_Format(PyExc_ValueError, "a key of %d bytes", HALF);
    GroupSeal *self = (GroupSeal *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    set_seal(self, key, head, head_size);
    self->number = number;
    return (PyObject *)self;
}

static void
drop_seal(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"put", (PyCFunction)(void (*)(void))put, METH_FASTCALL, "One group, at its place in a room."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_seal},
    {Py_tp_dealloc, drop_seal},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Groups of one segment."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "engine.store.group_seal.GroupSeal",
    .basicsize = sizeof(GroupSeal),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static int
fill_module(PyObject *module)
{
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("ssse3")) {
        PyErr_SetString(PyExc_ImportError, "this processor has no AES of its own");
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddObjectRef(module, "GroupSeal", type);
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
    .m_name = "engine.store.group_seal",
    .m_doc = "Groups of the journal with AES-256-GCM.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_group_seal(void)
{
    return PyModuleDef_Init(&module);
}
