/* The usual spelling of a message, looked at in one pass over its bytes: no object is made here, nothing is copied.
 *
 * `look` says 1 and fills in what has been found, as places in the bytes; or 0, which says nothing about the message
 * but that Python has to read it: whatever is folded, repeated, too long, not ASCII, a control character or simply
 * written in another way. Where only a part is written so, that part has a bit in `odd`. No verdict is made here, and
 * nothing is taken that the productions in grammar.py would not take with the same meaning.
 */
#ifndef HEAD_LOOK_H
#define HEAD_LOOK_H

#include "head_octets.h"

#define MAX_IDS 64 /* one bit each */
#define MAX_LINES 256
#define MAX_METHODS 32
#define MAX_METHOD 16
#define MAX_NAME 32
#define SLOTS 256 /* of the table of names: far more than there are names */

/* What Python has to read itself, as bits of `odd`. */
enum { ODD_KEYS = 1, ODD_REQUEST = 2, ODD_LENGTH = 4 };

/* Fields that are read here, in the order in which Python gives their ids. */
enum { VIA, FROM, TO, CALL_ID, CSEQ, CONTACT, MAX_FORWARDS, CONTENT_LENGTH, IDENTITY, FIELDS };

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
    Span values[MAX_LINES]; /* of each line, behind the colon */
    Span first[MAX_IDS]; /* the first of each field that is seen */
    int odd, status; /* status 0: a request */
    Span uri_text, reason; /* the one of a request, the other of a response */
    int method, transport; /* places in `methods`, -1 where the CSeq is odd, and in TRANSPORTS */
    Span via, via_host, sent_by, via_params, branch, from_tag, to_tag, call_id;
    Span addresses, call_rows; /* From and To, Call-ID and CSeq as an answer has them, line ends in front; or empty */
    int via_port, asks_rport, cseq;
    Span user, host, params;
    int port, forwards; /* forwards -1: no Max-Forwards */
    Span contact; /* the URI of the first one where it is as usual, else empty */
    Span body;
} Found;

static const char *const TRANSPORTS[] = {"UDP", "TCP", "TLS"};

static inline unsigned
name_slot(const char *at, ptrdiff_t size)
{
    return ((unsigned)size * 29 + ((uint8_t)at[0] | 0x20u) * 5 + ((uint8_t)at[size - 1] | 0x20u) * 11 +
            ((uint8_t)at[size / 2] | 0x20u)) % SLOTS;
}

/* Eight octets without the case of letters: of what stands in a token it changes only "_" besides, into what none has. */
static inline uint64_t
folded(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word | 0x2020202020202020u;
}

static inline uint32_t
folded_half(const char *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return word | 0x20202020u;
}

/* The last octets are looked at together with some before them, and not one by one. */
static inline int
is_same_name(const char *at, const char *name, ptrdiff_t size)
{
    ptrdiff_t i = 0;
    if (size < 4) {
        while (i < size && (at[i] | 0x20) == (name[i] | 0x20))
            i++;
        return i == size;
    }
    if (size < 8)
        return folded_half(at) == folded_half(name) && folded_half(at + size - 4) == folded_half(name + size - 4);
    for (; size - i > 8; i += 8)
        if (folded(at + i) != folded(name + i))
            return 0;
    return folded(at + size - 8) == folded(name + size - 8);
}

/* The id of a name in any case, 0 for one that has none. */
static int
name_id(const Spellings *known, const char *at, ptrdiff_t size)
{
    if (size > MAX_NAME)
        return 0;
    for (unsigned slot = name_slot(at, size); known->names[slot].size != 0; slot = (slot + 1) % SLOTS)
        if (known->names[slot].size == size && is_same_name(at, known->names[slot].text, size))
            return known->names[slot].id;
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
    found->sent_by = span(found->via_host.at, at);
    start = at;
    found->asks_rport = BEGINS(at, end, ";rport;") && TAKES(at, end, ";rport");
    if (!TAKES(at, end, ";branch="))
        return 0;
    found->via_params = span(start, end);
    start = at;
    at = run(at, TOKEN);
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
        at = run(at, TOKEN);
        if (!TAKES(at, end, " "))
            return 0;
    }
    if (!TAKES(at, end, "<sip:") && !TAKES(at, end, "<tel:"))
        return 0;
    start = at;
    at = run(at, URI);
    if (at == start || !TAKES(at, end, ">"))
        return 0;
    *tag = span(end, end);
    if (at == end)
        return 1;
    if (!TAKES(at, end, ";tag="))
        return 0;
    *tag = span(at, end);
    return at < end && run(at, TOKEN) == end;
}

/* Whether a row stands right behind the row of `before` and is written as we do: its name, and one space. */
static inline int
follows(Span before, const char *name, Span value)
{
    ptrdiff_t size = (ptrdiff_t)strlen(name);
    return value.at - size == before.at + before.size && memcmp(value.at - size, name, (size_t)size) == 0 &&
           value.size > 1 && value.at[0] == ' ' && stripped(value).size == value.size - 1;
}

/* From, To, Call-ID and CSeq where they stand so, one behind the other. */
static void
look_at_rows(const Spellings *known, Found *found)
{
    Span sender = found->first[known->fields[FROM]], recipient = found->first[known->fields[TO]];
    Span call_id = found->first[known->fields[CALL_ID]], cseq = found->first[known->fields[CSEQ]];
    Span line_end_before = span(sender.at - 7, sender.at - 7);
    found->addresses = found->call_rows = (Span){sender.at, 0};
    if (follows(line_end_before, "\r\nFrom:", sender) && follows(sender, "\r\nTo:", recipient) &&
        follows(recipient, "\r\nCall-ID:", call_id) && follows(call_id, "\r\nCSeq:", cseq)) {
        found->addresses = span(sender.at - 7, recipient.at + recipient.size);
        found->call_rows = span(recipient.at + recipient.size, cseq.at + cseq.size);
    }
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
    look_at_rows(known, found);
    return found->cseq >= 0 && found->call_id.size > 0 &&
           memchr(found->call_id.at, ' ', (size_t)found->call_id.size) == NULL &&
           memchr(found->call_id.at, '\t', (size_t)found->call_id.size) == NULL &&
           look_at_via(stripped(found->first[known->fields[VIA]]), found) &&
           look_at_address(found->first[known->fields[FROM]], &found->from_tag) &&
           look_at_address(found->first[known->fields[TO]], &found->to_tag);
}

/* `sip:user@host[:port]` with at most one parameter of small letters -> where it ends, NULL when it is odd. */
static const char *
usual_uri(const char *at, const char *end, Span *user, Span *host, int *port, Span *params)
{
    const char *start;
    if (!TAKES(at, end, "sip:"))
        return NULL;
    start = at;
    at = run(at, USER);
    *user = span(start, at);
    if (user->size == 0 || !TAKES(at, end, "@") || (at = host_port(at, end, host, port)) == NULL)
        return NULL;
    *params = span(at, at);
    if (at < end && *at == ';') {
        const char *mark = run(at + 1, LOWER), *stop;
        if (mark == at + 1 || mark == end || *mark != '=' || (stop = run(mark + 1, LOWER)) == mark + 1)
            return NULL;
        *params = span(at, stop);
        at = stop;
    }
    return at;
}

/* The URI of the first Contact where it is as usual and stands in brackets alone; else empty. */
static void
look_at_contact(const Spellings *known, Found *found)
{
    Span value, user, host, params;
    int port;
    const char *at, *end, *stop;
    found->contact = (Span){found->body.at, 0};
    if (!HAS(found, known->fields[CONTACT]))
        return;
    value = found->first[known->fields[CONTACT]];
    at = value.at;
    end = at + value.size;
    if (!TAKES(at, end, " <") || (stop = usual_uri(at, end, &user, &host, &port, &params)) == NULL)
        return;
    if (end - stop == 1 && *stop == '>' && !BEGINS(params.at, stop, ";method=")) /* it has no place in a Request-URI */
        found->contact = span(at, stop);
}

static int
look_at_request(const Spellings *known, Found *found)
{
    const char *end = found->uri_text.at + found->uri_text.size;
    uint8_t contact = known->fields[CONTACT], forwards = known->fields[MAX_FORWARDS], identity = known->fields[IDENTITY];
    if (usual_uri(found->uri_text.at, end, &found->user, &found->host, &found->port, &found->params) != end)
        return 0;
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
        const char *colon = run(at, TOKEN), *stop;
        int id;
        if (colon == at || colon == end || *colon != ':' || found->line_count >= known->max_lines)
            return NULL;
        stop = line_end(colon + 1, end);
        if (stop == NULL || stop - at > known->max_line)
            return NULL;
        id = name_id(known, at, colon - at);
        found->ids[found->line_count] = (uint8_t)id;
        found->values[found->line_count++] = span(colon + 1, stop);
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
    look_at_contact(known, found);
    found->odd = look_at_keys(known, found) ? 0 : ODD_KEYS;
    if (found->status == 0 && !look_at_request(known, found))
        found->odd |= ODD_REQUEST;
    if (!HAS(found, length) || !says(stripped(found->first[length]), found->body.size))
        found->odd |= ODD_LENGTH;
    return 1;
}

#endif
