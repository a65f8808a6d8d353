/* Whether a text is one of words and a few digits, told in one pass over its octets. For head_scan.c alone.
 *
 * What an octet is there is the caller's to say, for each of 256: this knows nothing of Python, and nothing of numbers.
 */
#ifndef TEXT_LOOK_H
#define TEXT_LOOK_H

#include "head_octets.h"

/* Kinds of octets as bits; a digit is a letter as well. */
enum { KIND_LETTER = 1, KIND_DIGIT = 2, KIND_REFUSED = 4 };

enum { MOST_DIGITS = 8, MOST_TOGETHER = 5, MOST_PAIRS = 4 };

/* 1 where no octet is refused, at most so many are digits, no more letters than that stand together, and no more pairs
 * of letters follow one another with one octet between them; the first and the last may belong to more than a pair. */
static int
is_of_words(const uint8_t *kinds, const char *at, const char *end)
{
    int digits = 0, together = 0, pairs = 0;
    for (; at < end; at++) {
        int kind = kinds[(uint8_t)*at];
        if (kind & KIND_REFUSED)
            return 0;
        if (kind & KIND_LETTER) {
            digits += (kind & KIND_DIGIT) != 0;
            together++;
            if (together > MOST_TOGETHER || (together == 2 && pairs == MOST_PAIRS))
                return 0;
        } else {
            pairs = together == 2 ? pairs + 1 : together > 2;
            together = 0;
        }
    }
    return digits <= MOST_DIGITS;
}

#endif
