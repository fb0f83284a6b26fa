/* What the fault tests put before libc (LD_PRELOAD): the operations on files of a store are counted over all processes
 * of a test, and something happens at one of them.
 *
 *   SHIM_COUNTER    file of 16 bytes that the processes share: operations, calls of flock
 *   SHIM_KILL_AT    the process that does this operation (from 1) is killed right before it
 *   SHIM_DELAY      microseconds that each operation takes longer, as on a slow file system
 *   SHIM_NO_LOCKS   flock fails, as on a file system that has none
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long *counters(void) {
    static long *shared;
    if (!shared) {
        const char *path = getenv("SHIM_COUNTER");
        int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
        void *place = file < 0 ? MAP_FAILED : mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file >= 0) syscall(SYS_close, file);
        static long own[2];
        shared = place == MAP_FAILED ? own : place;
    }
    return shared;
}

static long number(const char *name) {
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

static void operation(const char *path) {
    if (!path || !strstr(path, "/nativecache/v1.")) return;
    long delay = number("SHIM_DELAY");
    if (delay) usleep((useconds_t)delay);
    if (__atomic_add_fetch(&counters()[0], 1, __ATOMIC_SEQ_CST) == number("SHIM_KILL_AT")) kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                           \
        if (flags & (O_CREAT | O_WRONLY | O_RDWR) || getenv("SHIM_DELAY")) operation(path); \
        return REAL(name)(path, flags, mode);                                   \
    }
OPEN(open)
OPEN(open64)

int rename(const char *from, const char *to) { operation(to); return REAL(rename)(from, to); }
int unlink(const char *path) { operation(path); return REAL(unlink)(path); }
int rmdir(const char *path) { operation(path); return REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { operation(path); return REAL(mkdir)(path, mode); }
char *mkdtemp(char *template) { operation(template); return REAL(mkdtemp)(template); }

/* Julia loads libraries with RTLD_DEEPBIND, which would pass by what stands here. Optimised, it ends with a jump: to
 * the real one it is Julia's library that calls, in whose folder others are looked for. */
void *dlopen(const char *path, int flags) {
    void *(*real)(const char *, int) = REAL(dlopen);
    return real(path, flags & ~RTLD_DEEPBIND);
}

int flock(int file, int what) {
    __atomic_add_fetch(&counters()[1], 1, __ATOMIC_SEQ_CST);
    if (getenv("SHIM_NO_LOCKS")) { errno = ENOLCK; return -1; }
    return (int)syscall(SYS_flock, file, what);
}
