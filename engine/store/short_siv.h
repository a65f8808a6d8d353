/* One short text with AES-256-SIV by the processor's own AES (docs/decisions/0050), for x86-64.
 *
 * No table is looked up and nothing branches on a secret.
 */
#ifndef VEIL700_SHORT_SIV_H
#define VEIL700_SHORT_SIV_H

#include <string.h>
#include <wmmintrin.h>

#define BLOCK 16
#define HALF 32 /* bytes of a key of AES-256 */
#define ROUNDS 14
#define WITH_AES __attribute__((target("aes,sse2")))

typedef struct {
    unsigned char keys[ROUNDS + 1][BLOCK];
} Aes;

/* Of one column: the mixer is what `siv.mixer_of` gives for it. */
typedef struct {
    Aes tag, stream;
    unsigned char mixer[BLOCK];
} ShortKeys;

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

/* Of the key of both halves. */
static WITH_AES void
set_keys(ShortKeys *keys, const unsigned char *key, const unsigned char *mixer)
{
    set_key(&keys->tag, key);
    set_key(&keys->stream, key + HALF);
    memcpy(keys->mixer, mixer, BLOCK);
}

static WITH_AES __m128i
tag_of(const ShortKeys *keys, __m128i padded)
{
    return encrypt_block(&keys->tag, _mm_xor_si128(padded, load(keys->mixer)));
}

/* RFC 5297 §2.5: two bits of the tag are none of the counter's. */
static WITH_AES __m128i
stream_of(const ShortKeys *keys, __m128i tag)
{
    const __m128i counted = _mm_set_epi32(0xffffff7f, 0xffffff7f, -1, -1);
    return encrypt_block(&keys->stream, _mm_and_si128(tag, counted));
}

static inline int
is_short(Py_ssize_t size)
{
    return size > 0 && size < BLOCK;
}

/* Tag and cipher text of a short text: BLOCK + size bytes of `out`, which has two blocks. */
static WITH_AES void
hide(const ShortKeys *keys, const char *text, Py_ssize_t size, unsigned char *out)
{
    unsigned char padded[BLOCK] = {0};
    memcpy(padded, text, (size_t)size);
    padded[size] = 0x80;
    __m128i tag = tag_of(keys, load(padded));
    store(out, tag);
    store(out + BLOCK, _mm_xor_si128(load(padded), stream_of(keys, tag)));
}

/* The short text again, `size` bytes of the block `clear`; 0 when it was not encrypted with these keys. */
static WITH_AES int
reveal(const ShortKeys *keys, const void *hidden, Py_ssize_t size, unsigned char *clear)
{
    unsigned char padded[BLOCK] = {0};
    __m128i tag = load(hidden);
    memcpy(padded, (const char *)hidden + BLOCK, (size_t)size);
    store(clear, _mm_xor_si128(load(padded), stream_of(keys, tag)));
    memset(clear + size, 0, (size_t)(BLOCK - size));
    clear[size] = 0x80;
    return _mm_movemask_epi8(_mm_cmpeq_epi8(tag_of(keys, load(clear)), tag)) == 0xffff;
}

#endif
