/* Shifts the wall clock of a process, and makes its writes to the data directory fail, while it runs.
 *
 * Loaded with LD_PRELOAD. PROVE_CONTROL names a file of three native 64-bit integers, which are read at each call:
 * the seconds to add to the wall clock, the kind of fault, and the role that has it (the first eight bytes of its name).
 * Only files below PROVE_DATA have faults. The monotonic clock stays as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum fault { NONE, IO_ERROR, NO_SPACE, READ_ONLY, SHORT_WRITE };

struct control {
    int64_t seconds;
    int64_t fault;
    char role[8];
};

static struct control nothing;
static volatile struct control *control = &nothing;
static char role[8];
static const char *data;

static void read_role(void) {
    char words[4096];
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, words, sizeof words - 1);
    if (file >= 0) close(file);
    words[length > 0 ? length : 0] = 0;
    for (char *word = words; word < words + length; word += strlen(word) + 1)
        if (!strcmp(word, "tenure.roles")) memcpy(role, word + strlen(word) + 1, strnlen(word + strlen(word) + 1, 8));
    if (!role[0]) memcpy(role, "supervis", sizeof role);
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("PROVE_CONTROL");
    data = getenv("PROVE_DATA");
    if (!path) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    read_role();
    if (mapped != MAP_FAILED) control = mapped;
}

static int below(const char *path) { return data && !strncmp(path, data, strlen(data)); }

static int failing(void) { return control->fault != NONE && !memcmp((const char *)control->role, role, sizeof role); }

static int failing_file(int file) {
    if (!failing()) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

static int fail(void) {
    errno = control->fault == NO_SPACE ? ENOSPC : control->fault == READ_ONLY ? EROFS : EIO;
    return -1;
}

/* Whether a write fails, and otherwise how much of it is done. */
static int write_fails(int file, size_t *count) {
    if (!failing_file(file)) return 0;
    if (control->fault == SHORT_WRITE) {
        if (*count > 1) *count = (*count + 1) / 2;
        return 0;
    }
    return 1;
}

ssize_t write(int file, const void *bytes, size_t count) {
    return write_fails(file, &count) ? fail() : syscall(SYS_write, file, bytes, count);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    return write_fails(file, &count) ? fail() : syscall(SYS_pwrite64, file, bytes, count, offset);
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) { return pwrite64(file, bytes, count, offset); }
static int sync_fails(int file) { return failing_file(file) && control->fault == IO_ERROR; }
int fsync(int file) { return sync_fails(file) ? fail() : (int)syscall(SYS_fsync, file); }
int fdatasync(int file) { return sync_fails(file) ? fail() : (int)syscall(SYS_fdatasync, file); }

/* Names cannot be changed on a disk that is full or read-only. Relative paths are not looked at: the server uses none. */
static int name_fails(const char *path) {
    return failing() && (control->fault == NO_SPACE || control->fault == READ_ONLY) && below(path);
}
int rename(const char *from, const char *to) {
    return name_fails(to) ? fail() : (int)syscall(SYS_rename, from, to);
}
int mkdir(const char *path, mode_t mode) { return name_fails(path) ? fail() : (int)syscall(SYS_mkdir, path, mode); }
int unlink(const char *path) {
    return name_fails(path) && control->fault == READ_ONLY ? fail() : (int)syscall(SYS_unlink, path);
}
static int open_fails(const char *path, int flags) {
    if (!name_fails(path)) return 0;
    return control->fault == READ_ONLY ? (flags & O_ACCMODE) != O_RDONLY : (flags & O_CREAT) && access(path, F_OK);
}
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open_fails(path, flags) ? fail() : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open64(path, flags, mode);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += control->seconds;
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &time);
    *now = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
    return 0;
}
time_t time(time_t *now) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (now) *now = time.tv_sec;
    return time.tv_sec;
}

/* A wait until a wall time lasts as long as it was meant to: the kernel's clock was not shifted. */
static struct timespec as_kernel(clockid_t clock, const struct timespec *until) {
    struct timespec shifted = *until;
    if (clock == CLOCK_REALTIME) shifted.tv_sec -= control->seconds;
    return shifted;
}
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlvsym(
        RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    /* Conditions on the monotonic clock come this way too; their times are uptimes, far below any wall time. */
    struct timespec shifted = as_kernel(until->tv_sec > 1000000000 ? CLOCK_REALTIME : CLOCK_MONOTONIC, until);
    return real(condition, mutex, &shifted);
}
int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    if (!real) real = (int (*)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *))dlsym(
        RTLD_NEXT, "pthread_cond_clockwait");
    struct timespec shifted = as_kernel(clock, until);
    return real(condition, mutex, clock, &shifted);
}
int sem_timedwait(void *semaphore, const struct timespec *until) {
    static int (*real)(void *, const struct timespec *);
    if (!real) real = (int (*)(void *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec shifted = as_kernel(CLOCK_REALTIME, until);
    return real(semaphore, &shifted);
}
int sem_clockwait(void *semaphore, clockid_t clock, const struct timespec *until) {
    static int (*real)(void *, clockid_t, const struct timespec *);
    if (!real) real = (int (*)(void *, clockid_t, const struct timespec *))dlsym(RTLD_NEXT, "sem_clockwait");
    struct timespec shifted = as_kernel(clock, until);
    return real(semaphore, clock, &shifted);
}
