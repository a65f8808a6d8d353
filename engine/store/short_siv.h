/* One short text with AES-256-SIV by the processor's own AES (docs/decisions/0050), for x86-64.
 *
 * No table is looked up and nothing branches on a secret.
 */
#ifndef VEIL700_SHORT_SIV_H
#define VEIL700_SHORT_SIV_H

#include <string.h>

#include "aes_block.h"

/* Of one column: the mixer is what `siv.mixer_of` gives for it. */
typedef struct {
    Aes tag, stream;
    unsigned char mixer[BLOCK];
} ShortKeys;

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
