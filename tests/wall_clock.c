/* Moves the wall clock of a process while it runs. The monotonic clocks stay as they are.
 *
 * The environment variable WALL_CLOCK_SHIFT names a file that holds one native 64-bit integer: the seconds to add to
 * the wall clock. The file is mapped into the process, so a write into it takes effect at once, in every process.
 *
 * Functions that wait until a wall time get that time back as the kernel's clock has it; otherwise a thread would wait
 * for as long as the clock is shifted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t none;
static volatile int64_t *seconds = &none;

__attribute__((constructor)) static void map_shift(void) {
    const char *name = getenv("WALL_CLOCK_SHIFT");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        seconds = mapped;
    close(file);
}

static int is_wall_clock(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t clock, struct timespec *result) {
    long failed = syscall(SYS_clock_gettime, clock, result);
    if (failed)
        return -1;
    if (is_wall_clock(clock))
        result->tv_sec += *seconds;
    return 0;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *result, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, result) ? base : 0;
}

static struct timespec by_the_kernel(const struct timespec *until) {
    struct timespec moved = *until;
    moved.tv_sec -= *seconds;
    return moved;
}

/* The next definition of a function, found once. */
#define NEXT(function) \
    static __typeof__(&function) next; \
    if (!next) \
    next = (__typeof__(&function))dlsym(RTLD_NEXT, #function)

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static __typeof__(&pthread_cond_timedwait) next;
    if (!next)
        next = (__typeof__(next))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!next) /* where it has one version only */
        next = (__typeof__(next))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    /* A condition may be bound to the monotonic clock, whose times are small: these are left alone. */
    struct timespec moved = until->tv_sec > 1000000000 ? by_the_kernel(until) : *until;
    return next(condition, mutex, &moved);
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *until) {
    NEXT(pthread_cond_clockwait);
    struct timespec moved = is_wall_clock(clock) ? by_the_kernel(until) : *until;
    return next(condition, mutex, clock, &moved);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    NEXT(pthread_mutex_timedlock);
    struct timespec moved = by_the_kernel(until);
    return next(mutex, &moved);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    NEXT(sem_timedwait);
    struct timespec moved = by_the_kernel(until);
    return next(semaphore, &moved);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until) {
    NEXT(sem_clockwait);
    struct timespec moved = is_wall_clock(clock) ? by_the_kernel(until) : *until;
    return next(semaphore, clock, &moved);
}
