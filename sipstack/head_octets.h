/* Octets of a message, looked at: their classes, spans of them, and what a line is made of. For head_look.h alone. */
#ifndef HEAD_OCTETS_H
#define HEAD_OCTETS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Classes of octets, one bit each. */
enum { TOKEN = 1, URI = 2, HOST = 4, DIGIT = 8, USER = 16, LOWER = 32 };

typedef struct {
    const char *at;
    ptrdiff_t size;
} Span;

static uint8_t classes[256];

static void
fill_classes(void)
{
    for (int c = 0x21; c < 0x7f; c++) {
        int lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z', digit = c >= '0' && c <= '9';
        int alphanum = lower || upper || digit;
        classes[c] = (uint8_t)((alphanum || strchr("-.!%*_+`'~", c) ? TOKEN : 0) | (strchr("\"<>", c) ? 0 : URI) |
                               (lower || digit || c == '.' ? HOST : 0) | (digit ? DIGIT : 0) |
                               (alphanum || c == '+' ? USER : 0) | (lower ? LOWER : 0));
    }
}

static inline const char *
skip(const char *at, const char *end, int class)
{
    while (at < end && (classes[(uint8_t)*at] & class))
        at++;
    return at;
}

/* The same where what stands at the end is of no class, as CR, a blank and the NUL behind all bytes are: whoever stops
 * there need not ask whether it is the end. */
static inline const char *
run(const char *at, int class)
{
    while (classes[(uint8_t)*at] & class)
        at++;
    return at;
}

#define BEGINS(at, end, word) ((size_t)((end) - (at)) >= sizeof(word) - 1 && memcmp(at, word, sizeof(word) - 1) == 0)
#define TAKES(at, end, word) (BEGINS(at, end, word) && ((at) += sizeof(word) - 1, 1))

static inline Span
span(const char *from, const char *to)
{
    return (Span){from, to - from};
}

static inline Span
stripped(Span value)
{
    for (; value.size > 0 && (*value.at == ' ' || *value.at == '\t'); value.size--)
        value.at++;
    while (value.size > 0 && (value.at[value.size - 1] == ' ' || value.at[value.size - 1] == '\t'))
        value.size--;
    return value;
}

/* A number of at most `digits` digits (nine fit an int), which are all that the span holds; -1 for anything else. */
static int
number(Span text, ptrdiff_t digits)
{
    int value = 0;
    if (text.size < 1 || text.size > digits)
        return -1;
    for (ptrdiff_t i = 0; i < text.size; i++) {
        if (!(classes[(uint8_t)text.at[i]] & DIGIT))
            return -1;
        value = value * 10 + (text.at[i] - '0');
    }
    return value;
}

/* Whether the text is this number, without zeros in front. */
static int
says(Span text, ptrdiff_t value)
{
    return number(text, 9) == value && (*text.at != '0' || text.size == 1);
}

/* `host` or `host:port` without zeros in front -> where it ends, NULL when it is odd; the port is 0 when absent. */
static const char *
host_port(const char *at, const char *end, Span *host, int *port)
{
    const char *start = at;
    at = run(at, HOST);
    if (at == start || *start == '.')
        return NULL;
    *host = span(start, at);
    *port = 0;
    if (at < end && *at == ':') {
        start = ++at;
        at = run(at, DIGIT);
        if (at == start || *start == '0' || (*port = number(span(start, at), 5)) < 0 || *port > 65535)
            return NULL;
    }
    return at;
}

/* The end of a line: where its CR stands, NULL for whatever else may not stand in one as it is, or no end at all. */
static const char *
line_end(const char *at, const char *end)
{
#ifdef __SSE2__ /* sixteen octets at a time: one beyond ASCII is negative, and so below space */
    const __m128i space = _mm_set1_epi8(0x20), del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        __m128i octets = _mm_loadu_si128((const __m128i *)at);
        int odd = _mm_movemask_epi8(_mm_or_si128(_mm_cmplt_epi8(octets, space), _mm_cmpeq_epi8(octets, del)));
        if (odd != 0) {
            at += __builtin_ctz((unsigned)odd);
            if (*at != '\t')
                break;
            at -= 15; /* on behind the TAB */
        }
    }
#endif
    for (; at < end; at++) {
        uint8_t octet = (uint8_t)*at;
        if (octet == '\r')
            return end - at >= 2 && at[1] == '\n' ? at : NULL;
        if ((octet < 0x20 && octet != '\t') || octet >= 0x7f)
            return NULL;
    }
    return NULL;
}

#endif
