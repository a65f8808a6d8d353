/* A session description of one medium as nearly every phone writes it, looked at in one pass over its octets.
 *
 * `look_at_description` says 1 and fills in where its parts stand, or 0 for one that Python reads line by line. It takes
 * what USUAL and PLAIN in sdp.py take, with the same meaning, and knows nothing of Python. For head_scan.c alone.
 */
#ifndef DESCRIPTION_LOOK_H
#define DESCRIPTION_LOOK_H

#include "head_octets.h"

enum { BANDWIDTH_DIGITS = 8, MOST_BANDWIDTHS = 4 };

typedef struct {
    Span origin, name;    /* the values of o= and s= */
    const char *crossing; /* what stands behind s= */
    Span attributes;      /* and of that, what stands behind the lines of the one medium */
} Description;

/* One to `most` octets of a class -> where they end, NULL for none. */
static inline const char *
some(const char *at, const char *end, int class, ptrdiff_t most)
{
    const char *start = at, *stop = end - at > most ? at + most : end;
    at = skip(at, stop, class);
    return at == start ? NULL : at;
}

/* `v` of a line `o=v` or `s=v` -> where the next line begins, NULL when it holds what may not stand in one. */
static const char *
value_of_line(const char *at, const char *end, Span *value)
{
    const char *start = at;
    while (at < end && *at != '\r' && *at != '\n' && *at != '\0')
        at++;
    *value = span(start, at);
    return TAKES(at, end, "\r\n") ? at : NULL;
}

/* Each of these: a line in its usual spelling -> where the next one begins, NULL when it is another. */

static const char *
connection_line(const char *at, const char *end)
{
    if (!TAKES(at, end, "c=IN IP4 "))
        return NULL;
    for (int i = 0; i < 4; i++)
        if ((i > 0 && !TAKES(at, end, ".")) || (at = some(at, end, DIGIT, 3)) == NULL)
            return NULL;
    return TAKES(at, end, "\r\n") ? at : NULL;
}

static const char *
bandwidth_line(const char *at, const char *end)
{
    if (!TAKES(at, end, "b=AS:") && !TAKES(at, end, "b=TIAS:") && !TAKES(at, end, "b=CT:") &&
        !TAKES(at, end, "b=RR:") && !TAKES(at, end, "b=RS:"))
        return NULL;
    at = some(at, end, DIGIT, BANDWIDTH_DIGITS);
    return at != NULL && TAKES(at, end, "\r\n") ? at : NULL;
}

static const char *
media_line(const char *at, const char *end)
{
    const char *start;
    if (!TAKES(at, end, "m=") || (at = some(at, end, LOWER, 6)) == NULL || !TAKES(at, end, " ") ||
        (at = some(at, end, DIGIT, 5)) == NULL || !TAKES(at, end, " "))
        return NULL;
    for (start = at; at < end && at - start < 8 && ((*at >= 'A' && *at <= 'Z') || *at == '/'); at++)
        ;
    if (at == start || !BEGINS(at, end, " "))
        return NULL;
    while (TAKES(at, end, " "))
        if ((at = some(at, end, DIGIT, 3)) == NULL)
            return NULL;
    return TAKES(at, end, "\r\n") ? at : NULL;
}

/* A connection and bandwidths, where they stand -> what is behind them. */
static const char *
addresses_and_bandwidths(const char *at, const char *end)
{
    const char *next = connection_line(at, end);
    for (int i = 0; i < MOST_BANDWIDTHS; i++) {
        at = next != NULL ? next : at;
        next = bandwidth_line(at, end);
        if (next == NULL)
            return at;
    }
    return next;
}

/* Whether the origin is spelled as the node does it, with nobody's name, and there is no name of a session either. */
static int
is_nobodys(const Description *found)
{
    const char *at = found->origin.at, *end = at + found->origin.size;
    if (found->name.size != 1 || *found->name.at != '-' || !TAKES(at, end, "- ") ||
        (at = some(at, end, DIGIT, end - at)) == NULL || !TAKES(at, end, " ") ||
        (at = some(at, end, DIGIT, end - at)) == NULL || !TAKES(at, end, " IN IP4 ") || at == end)
        return 0;
    while (at < end && ((classes[(uint8_t)*at] & DIGIT) || *at == '.'))
        at++;
    return at == end;
}

static int
look_at_description(const char *at, ptrdiff_t size, Description *found)
{
    const char *end = at + size;
    if (!TAKES(at, end, "v=0\r\no=") || (at = value_of_line(at, end, &found->origin)) == NULL ||
        !TAKES(at, end, "s=") || (at = value_of_line(at, end, &found->name)) == NULL)
        return 0;
    found->crossing = at;
    at = addresses_and_bandwidths(at, end);
    if (!TAKES(at, end, "t=0 0\r\n") || (at = media_line(at, end)) == NULL)
        return 0;
    at = addresses_and_bandwidths(at, end);
    found->attributes = span(at, end);
    return 1;
}

#endif
