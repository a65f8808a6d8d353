// SIPp 3.6.1 reads the coarse clocks, which step by several ms; preloaded, this gives it the fine ones, so that its
// response times have microseconds.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    if (clock == CLOCK_MONOTONIC_COARSE)
        clock = CLOCK_MONOTONIC;
    else if (clock == CLOCK_REALTIME_COARSE)
        clock = CLOCK_REALTIME;
    return real(clock, time);
}
