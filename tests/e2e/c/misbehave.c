// A disk and a clock that misbehave on command: preloaded into a node, steered through a page of memory that the test
// and the node share. Only files below one folder are touched, and only while the page says so.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// The page: int64 each, 0 for no fault; tests/e2e/faults.py writes them in this order.
enum { WRITE_ERRNO, SYNC_ERRNO, SYNC_DELAY_MS, READ_ERRNO, CLOCK_OFFSET_S, HITS, FIELDS };

static volatile int64_t no_faults[FIELDS];
static volatile int64_t *page = no_faults;
static const char *folder = "";
static const char *unreadable = "";

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MISBEHAVE_PAGE");
    if (!path)
        return;
    int file = (open)(path, O_RDWR | O_CLOEXEC);
    void *shared = file < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) {
        fprintf(stderr, "misbehave: cannot use %s\n", path);
        _exit(99);
    }
    close(file);
    folder = getenv("MISBEHAVE_FOLDER");
    unreadable = getenv("MISBEHAVE_UNREADABLE");
    page = shared;
}

static int is_below(const char *path) { return strncmp(path, folder, strlen(folder)) == 0; }

static int path_of(int file, char *path, size_t size) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return 1;
}

// True when a fault of this kind is on and hits this file; errno is set then.
static int hits(int kind, int file) {
    char path[4096];
    if (!page[kind] || !path_of(file, path, sizeof path) || !is_below(path))
        return 0;
    if (kind == READ_ERRNO && !strstr(path, unreadable))
        return 0;
    __sync_fetch_and_add(&page[HITS], 1);
    errno = (int)page[kind];
    return 1;
}

#define WRITES(name, declared, passed) \
    ssize_t name declared { \
        REAL(name); \
        return hits(WRITE_ERRNO, file) ? -1 : real passed; \
    }
WRITES(write, (int file, const void *data, size_t size), (file, data, size))
WRITES(pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
WRITES(pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at))
WRITES(writev, (int file, const struct iovec *parts, int count), (file, parts, count))
WRITES(pwritev, (int file, const struct iovec *parts, int count, off_t at), (file, parts, count, at))
WRITES(pwritev64, (int file, const struct iovec *parts, int count, off64_t at), (file, parts, count, at))

#define READS(name, declared, passed) \
    ssize_t name declared { \
        REAL(name); \
        return hits(READ_ERRNO, file) ? -1 : real passed; \
    }
READS(pread, (int file, void *data, size_t size, off_t at), (file, data, size, at))
READS(pread64, (int file, void *data, size_t size, off64_t at), (file, data, size, at))

// Making a file longer takes room; making it shorter or removing it does not, but a read-only disk refuses that, too.
static int refuses_resize(int file, off64_t length) {
    struct stat known;
    if (!page[WRITE_ERRNO] || (page[WRITE_ERRNO] == ENOSPC && fstat(file, &known) == 0 && length <= known.st_size))
        return 0;
    return hits(WRITE_ERRNO, file);
}

int ftruncate(int file, off_t length) {
    REAL(ftruncate);
    return refuses_resize(file, length) ? -1 : real(file, length);
}

int ftruncate64(int file, off64_t length) {
    REAL(ftruncate64);
    return refuses_resize(file, length) ? -1 : real(file, length);
}

int posix_fallocate(int file, off_t at, off_t length) {
    REAL(posix_fallocate);
    return hits(WRITE_ERRNO, file) ? errno : real(file, at, length);
}

int posix_fallocate64(int file, off64_t at, off64_t length) {
    REAL(posix_fallocate64);
    return hits(WRITE_ERRNO, file) ? errno : real(file, at, length);
}

static int refuses_change(const char *path) {
    if (page[WRITE_ERRNO] != EROFS || !is_below(path))
        return 0;
    __sync_fetch_and_add(&page[HITS], 1);
    errno = EROFS;
    return 1;
}

int unlink(const char *path) {
    REAL(unlink);
    return refuses_change(path) ? -1 : real(path);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return refuses_change(from) || refuses_change(to) ? -1 : real(from, to);
}

// A full disk has no room for a new file either.
static int refuses_open(const char *path, int flags) {
    if (!page[WRITE_ERRNO] || page[WRITE_ERRNO] == EIO || !is_below(path))
        return 0;
    int changes = page[WRITE_ERRNO] == EROFS && (flags & (O_WRONLY | O_RDWR));
    if (!changes && !((flags & O_CREAT) && access(path, F_OK) != 0))
        return 0;
    __sync_fetch_and_add(&page[HITS], 1);
    errno = (int)page[WRITE_ERRNO];
    return 1;
}

#define OPENS(name, declared, passed) \
    int name declared { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        return refuses_open(path, flags) ? -1 : real passed; \
    }
OPENS(open, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENS(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))

// A delay that is taken back while somebody waits in it is over at once.
static void wait_for_disk(int file) {
    char path[4096];
    if (!page[SYNC_DELAY_MS] || !path_of(file, path, sizeof path) || !is_below(path))
        return;
    __sync_fetch_and_add(&page[HITS], 1);
    const struct timespec moment = {0, 1000000};
    for (int64_t waited = 0; waited < page[SYNC_DELAY_MS]; waited++)
        nanosleep(&moment, NULL);
}

int fsync(int file) {
    REAL(fsync);
    wait_for_disk(file);
    return hits(SYNC_ERRNO, file) ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(fdatasync);
    wait_for_disk(file);
    return hits(SYNC_ERRNO, file) ? -1 : real(file);
}

// A write that flushes by itself.
#define WRITES_THROUGH(name, offset) \
    ssize_t name(int file, const struct iovec *parts, int count, offset at, int flags) { \
        REAL(name); \
        if (hits(WRITE_ERRNO, file)) \
            return -1; \
        if (flags & RWF_DSYNC) { \
            wait_for_disk(file); \
            if (hits(SYNC_ERRNO, file)) \
                return -1; \
        } \
        return real(file, parts, count, at, flags); \
    }
WRITES_THROUGH(pwritev2, off_t)
WRITES_THROUGH(pwritev64v2, off64_t)

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int failed = real(clock, time);
    if (!failed && clock == CLOCK_REALTIME)
        time->tv_sec += page[CLOCK_OFFSET_S];
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    REAL(gettimeofday);
    int failed = real(time, zone);
    if (!failed)
        time->tv_sec += page[CLOCK_OFFSET_S];
    return failed;
}
