/* The usual spelling of a message, looked at in one pass over its bytes: no object is made here, nothing is copied.
 *
 * `look` says 1 and fills in what has been found, as places in the bytes; or 0, which says nothing about the message
 * but that Python has to read it: whatever is folded, repeated, too long, not ASCII, a control character or simply
 * written in another way. Where only a part is written so, that part has a bit in `odd`. No verdict is made here, and
 * nothing is taken that the productions in grammar.py would not take with the same meaning.
 */
#ifndef HEAD_LOOK_H
#define HEAD_LOOK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MAX_IDS 64 /* one bit each */
#define MAX_LINES 256
#define MAX_METHODS 32
#define MAX_METHOD 16
#define MAX_NAME 32
#define SLOTS 256 /* of the table of names: far more than there are names */

/* Classes of octets, one bit each. */
enum { TOKEN = 1, URI = 2, HOST = 4, DIGIT = 8, USER = 16, LOWER = 32 };

/* What Python has to read itself, as bits of `odd`. */
enum { ODD_KEYS = 1, ODD_REQUEST = 2, ODD_LENGTH = 4 };

/* Fields that are read here, in the order in which Python gives their ids. */
enum { VIA, FROM, TO, CALL_ID, CSEQ, CONTACT, MAX_FORWARDS, CONTENT_LENGTH, IDENTITY, FIELDS };

typedef struct {
    const char *at;
    ptrdiff_t size;
} Span;

/* How names and methods are spelled, and what is too much: all of it comes from Python. */
typedef struct {
    struct {
        char text[MAX_NAME]; /* in lower case */
        uint8_t size, id;    /* size 0: the slot is free */
    } names[SLOTS];
    struct {
        char text[MAX_METHOD];
        uint8_t size;
    } methods[MAX_METHODS];
    int method_count;
    uint64_t single; /* fields that may stand once */
    uint8_t fields[FIELDS];
    ptrdiff_t max_head, max_lines, max_line, max_uri;
} Spellings;

/* What has been found. The keys hold nothing where ODD_KEYS is set, what only a request has where ODD_REQUEST is. */
typedef struct {
    uint64_t seen, repeated; /* fields, one bit each */
    ptrdiff_t line_count;
    uint8_t ids[MAX_LINES];
    Span first[MAX_IDS]; /* behind the colon; for the fields that are seen */
    int odd, status; /* status 0: a request */
    Span uri_text, reason; /* the one of a request, the other of a response */
    int method, transport; /* places in `methods`, -1 where the CSeq is odd, and in TRANSPORTS */
    Span via, via_host, via_params, branch, from_tag, to_tag, call_id;
    int via_port, asks_rport, cseq;
    Span user, host, params;
    int port, forwards; /* forwards -1: no Max-Forwards */
    Span body;
} Found;

static const char *const TRANSPORTS[] = {"UDP", "TCP", "TLS"};

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
    at = skip(at, end, HOST);
    if (at == start || *start == '.')
        return NULL;
    *host = span(start, at);
    *port = 0;
    if (at < end && *at == ':') {
        start = ++at;
        at = skip(at, end, DIGIT);
        if (at == start || *start == '0' || (*port = number(span(start, at), 5)) < 0 || *port > 65535)
            return NULL;
    }
    return at;
}

/* The end of a line: where its CR stands, NULL for whatever else may not stand in one as it is, or no end at all.
 * Eight octets at a time: one below space, DEL or one beyond ASCII sets the upper bit of its octet. */
static const char *
line_end(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, upper = 0x8080808080808080u;
    for (;;) {
        while (end - at >= 8) {
            uint64_t word, del;
            memcpy(&word, at, 8);
            del = word ^ (ones * 0x7f);
            if (((word - ones * 0x20) | word | (del - ones)) & upper)
                break;
            at += 8;
        }
        for (ptrdiff_t left = end - at < 8 ? end - at : 8; left > 0; left--, at++) {
            uint8_t octet = (uint8_t)*at;
            if (octet == '\r')
                return end - at >= 2 && at[1] == '\n' ? at : NULL;
            if ((octet < 0x20 && octet != '\t') || octet >= 0x7f)
                return NULL;
        }
        if (at == end)
            return NULL;
    }
}

static inline unsigned
name_slot(const char *at, ptrdiff_t size)
{
    return ((unsigned)size * 29 + ((uint8_t)at[0] | 0x20u) * 5 + ((uint8_t)at[size - 1] | 0x20u) * 11 +
            ((uint8_t)at[size / 2] | 0x20u)) % SLOTS;
}

/* The id of a name in any case, 0 for one that has none. */
static int
name_id(const Spellings *known, const char *at, ptrdiff_t size)
{
    if (size > MAX_NAME)
        return 0;
    for (unsigned slot = name_slot(at, size); known->names[slot].size != 0; slot = (slot + 1) % SLOTS) {
        ptrdiff_t i = 0;
        if (known->names[slot].size != size)
            continue;
        while (i < size && (at[i] >= 'A' && at[i] <= 'Z' ? at[i] | 0x20 : at[i]) == known->names[slot].text[i])
            i++;
        if (i == size)
            return known->names[slot].id;
    }
    return 0;
}

/* The place of a method, -1 for one whose letters need a look. */
static int
method_of(const Spellings *known, Span word)
{
    for (int i = 0; i < known->method_count; i++)
        if (known->methods[i].size == word.size && memcmp(known->methods[i].text, word.at, (size_t)word.size) == 0)
            return i;
    return -1;
}

#define HAS(found, id) ((found)->seen >> (id) & 1)

static int
look_at_start_line(const Spellings *known, const char *at, const char *end, Found *found)
{
    const char *space;
    found->method = -1;
    if (TAKES(at, end, "SIP/2.0 ")) {
        found->status = end - at >= 3 ? number(span(at, at + 3), 3) : -1;
        if (found->status < 100 || found->status > 699 || (end - at > 3 && at[3] != ' '))
            return 0;
        found->reason = end - at > 3 ? span(at + 4, end) : span(end, end);
        return 1;
    }
    space = memchr(at, ' ', (size_t)(end - at));
    if (space == NULL || (found->method = method_of(known, span(at, space))) < 0)
        return 0;
    at = space + 1;
    space = memchr(at, ' ', (size_t)(end - at));
    if (space == NULL || space == at || space - at > known->max_uri || end - space != 8 ||
        memcmp(space, " SIP/2.0", 8) != 0)
        return 0;
    found->uri_text = span(at, space);
    found->status = 0;
    return 1;
}

static int
look_at_via(Span value, Found *found)
{
    const char *at = value.at, *end = at + value.size, *start;
    found->via = value;
    if (!TAKES(at, end, "SIP/2.0/") || end - at < 4 || at[3] != ' ')
        return 0;
    found->transport = at[0] == 'U' ? 0 : at[1] == 'C' ? 1 : 2;
    if (memcmp(TRANSPORTS[found->transport], at, 3) != 0)
        return 0;
    at = host_port(at + 4, end, &found->via_host, &found->via_port);
    if (at == NULL)
        return 0;
    start = at;
    found->asks_rport = BEGINS(at, end, ";rport;") && TAKES(at, end, ";rport");
    if (!TAKES(at, end, ";branch="))
        return 0;
    found->via_params = span(start, end);
    start = at;
    at = skip(at, end, TOKEN);
    found->branch = span(start, at);
    if (!found->asks_rport && TAKES(at, end, ";rport"))
        found->asks_rport = 1;
    return found->branch.size > 0 && at == end;
}

/* `[display] <uri>[;tag=token]` behind one space, of sip: and tel:, the display name a token or without escapes. */
static int
look_at_address(Span value, Span *tag)
{
    const char *at = value.at, *end = at + value.size, *start;
    if (!TAKES(at, end, " "))
        return 0;
    if (at < end && *at == '"') {
        at++;
        while (at < end && *at != '"' && *at != '\\')
            at++;
        if (!TAKES(at, end, "\" "))
            return 0;
    } else if (at < end && (classes[(uint8_t)*at] & TOKEN)) {
        at = skip(at, end, TOKEN);
        if (!TAKES(at, end, " "))
            return 0;
    }
    if (!TAKES(at, end, "<sip:") && !TAKES(at, end, "<tel:"))
        return 0;
    start = at;
    at = skip(at, end, URI);
    if (at == start || !TAKES(at, end, ">"))
        return 0;
    *tag = span(end, end);
    if (at == end)
        return 1;
    if (!TAKES(at, end, ";tag="))
        return 0;
    *tag = span(at, end);
    return at < end && skip(at, end, TOKEN) == end;
}

static int
look_at_keys(const Spellings *known, Found *found)
{
    Span cseq = stripped(found->first[known->fields[CSEQ]]);
    const char *space = memchr(cseq.at, ' ', (size_t)cseq.size), *end = cseq.at + cseq.size;
    int method = space == NULL ? -1 : method_of(known, span(space + 1, end));
    if (method < 0 || (found->status == 0 && method != found->method))
        return 0;
    found->cseq = number(span(cseq.at, space), 9);
    found->method = method;
    found->call_id = stripped(found->first[known->fields[CALL_ID]]);
    return found->cseq >= 0 && found->call_id.size > 0 &&
           memchr(found->call_id.at, ' ', (size_t)found->call_id.size) == NULL &&
           memchr(found->call_id.at, '\t', (size_t)found->call_id.size) == NULL &&
           look_at_via(stripped(found->first[known->fields[VIA]]), found) &&
           look_at_address(found->first[known->fields[FROM]], &found->from_tag) &&
           look_at_address(found->first[known->fields[TO]], &found->to_tag);
}

static int
look_at_request(const Spellings *known, Found *found)
{
    const char *at = found->uri_text.at, *end = at + found->uri_text.size, *start;
    uint8_t contact = known->fields[CONTACT], forwards = known->fields[MAX_FORWARDS], identity = known->fields[IDENTITY];
    if (!TAKES(at, end, "sip:"))
        return 0;
    start = at;
    at = skip(at, end, USER);
    found->user = span(start, at);
    if (found->user.size == 0 || !TAKES(at, end, "@"))
        return 0;
    at = host_port(at, end, &found->host, &found->port);
    if (at == NULL)
        return 0;
    found->params = span(at, end);
    if (at < end) { /* one parameter of small letters */
        if (*at != ';' || (start = skip(at + 1, end, LOWER)) == at + 1 || start == end || *start != '=')
            return 0;
        if ((at = skip(start + 1, end, LOWER)) == start + 1 || at != end)
            return 0;
    }
    found->forwards = -1;
    if (HAS(found, forwards)) {
        Span value = found->first[forwards];
        if (value.size < 2 || value.at[0] != ' ')
            return 0;
        found->forwards = number((Span){value.at + 1, value.size - 1}, 3);
        if (found->forwards < 0 || found->forwards > 255)
            return 0;
    }
    if ((found->repeated >> identity & 1) ||
        (HAS(found, identity) && memchr(found->first[identity].at, ',', (size_t)found->first[identity].size) != NULL))
        return 0;
    if (HAS(found, contact)) {
        Span none;
        return !(found->repeated >> contact & 1) && look_at_address(found->first[contact], &none);
    }
    return 1;
}

/* The header lines: their ids, and the first value of each field. -> where the head ends, NULL when it is odd. */
static const char *
look_at_lines(const Spellings *known, const char *at, const char *end, Found *found)
{
    while (end - at >= 2 && memcmp(at, "\r\n", 2) != 0) {
        const char *colon = skip(at, end, TOKEN), *stop;
        int id;
        if (colon == at || colon == end || *colon != ':' || found->line_count == known->max_lines)
            return NULL;
        stop = line_end(colon + 1, end);
        if (stop == NULL || stop - at > known->max_line)
            return NULL;
        id = name_id(known, at, colon - at);
        found->ids[found->line_count++] = (uint8_t)id;
        if (HAS(found, id)) {
            found->repeated |= (uint64_t)1 << id;
        } else {
            found->seen |= (uint64_t)1 << id;
            found->first[id] = span(colon + 1, stop);
        }
        at = stop + 2;
    }
    return end - at >= 2 ? at : NULL;
}

/* The one function for whoever includes this. `known` holds names and methods as `Spellings` says. */
static int
look(const Spellings *known, const char *data, ptrdiff_t size, Found *found)
{
    const char *end = data + size, *stop = line_end(data, end);
    uint8_t length = known->fields[CONTENT_LENGTH];
    if (stop == NULL || stop == data || !look_at_start_line(known, data, stop, found))
        return 0;
    found->seen = found->repeated = 0;
    found->line_count = 0;
    stop = look_at_lines(known, stop + 2, end, found);
    if (stop == NULL || stop - 2 - data > known->max_head || (found->repeated & known->single))
        return 0;
    for (int field = VIA; field <= CSEQ; field++)
        if (!HAS(found, known->fields[field]))
            return 0;
    found->body = span(stop + 2, end);
    found->odd = look_at_keys(known, found) ? 0 : ODD_KEYS;
    if (found->status == 0 && !look_at_request(known, found))
        found->odd |= ODD_REQUEST;
    if (!HAS(found, length) || !says(stripped(found->first[length]), found->body.size))
        found->odd |= ODD_LENGTH;
    return 1;
}

#endif
