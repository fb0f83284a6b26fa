/* Stands before libc's malloc: the signal by which Julia makes its main thread exit (SIGUSR2) comes after it, not in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static __thread volatile int inside __attribute__((tls_model("initial-exec")));
static __thread volatile int waiting __attribute__((tls_model("initial-exec")));
static void (*handler)(int, siginfo_t *, void *);

static void later(int signal, siginfo_t *info, void *context) {
    if (inside) waiting = 1;
    else handler(signal, info, context);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *before) {
    int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
    struct sigaction ours;
    if (signal == SIGUSR2 && action != NULL && (action->sa_flags & SA_SIGINFO)) {
        handler = action->sa_sigaction;
        ours = *action;
        ours.sa_sigaction = later;
        action = &ours;
    }
    return real(signal, action, before);
}

static void let_go(void) {
    if (--inside != 0 || !waiting) return;
    int code = errno;
    waiting = 0;
    raise(SIGUSR2);
    errno = code;
}

#define HELD(call) do { inside++; void *result = call; let_go(); return result; } while (0)

void *malloc(size_t n) { HELD(__libc_malloc(n)); }
void *calloc(size_t n, size_t size) { HELD(__libc_calloc(n, size)); }
void *realloc(void *p, size_t n) { HELD(__libc_realloc(p, n)); }
void *memalign(size_t at, size_t n) { HELD(__libc_memalign(at, n)); }
void *aligned_alloc(size_t at, size_t n) { HELD(__libc_memalign(at, n)); }
void free(void *p) { inside++; __libc_free(p); let_go(); }

int posix_memalign(void **p, size_t at, size_t n) {
    if (at % sizeof(void *) != 0 || at == 0 || (at & (at - 1)) != 0) return EINVAL;
    void *found = memalign(at, n);
    if (found == NULL) return ENOMEM;
    *p = found;
    return 0;
}
