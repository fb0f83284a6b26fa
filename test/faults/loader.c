/* What the fault tests put before the loader (LD_PRELOAD): each call of libnativecache is to come with the signal put off
 * by which Julia's profiler stops a thread, SIGUSR2.
 *
 *   LOADER_LOG      file that gets a line for each call: `open dlclose` where the signal could come, and once `safe dlclose`
 *   LOADER_HOLD     microseconds for which `dl_iterate_phdr` holds the loader's lock longer, so that a profiler that can
 *                   stop the thread there does so for certain
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Each)(struct dl_phdr_info *, size_t, void *);
static int (*real_iterate)(Each, void *);
static int (*real_dladdr)(const void *, Dl_info *);
static int (*real_dlclose)(void *);
static void *(*real_dlopen)(const char *, int);

/* Before any other thread: a look-up takes a lock, too. */
__attribute__((constructor)) static void look_up(void) {
    real_iterate = (int (*)(Each, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    real_dladdr = (int (*)(const void *, Dl_info *))dlsym(RTLD_NEXT, "dladdr");
    real_dlclose = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
    real_dlopen = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
}

static void note(const char *how, const char *name) {
    char line[64];
    const char *path = getenv("LOADER_LOG");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    int length = snprintf(line, sizeof line, "%s %s\n", how, name);
    if (file < 0) return;
    if (write(file, line, (size_t)length) != length) abort();
    close(file);
}

struct caller { unsigned long address; int found; };

static int look(struct dl_phdr_info *info, size_t size, void *data) {
    struct caller *caller = data;
    (void)size;
    if (!info->dlpi_name || !strstr(info->dlpi_name, "libnativecache.so")) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        unsigned long start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && caller->address - start < info->dlpi_phdr[i].p_memsz) caller->found = 1;
    }
    return 1;
}

/* Does libnativecache call? If so, it is noted how. This takes no other lock than an unwinder does, which calls as well. */
static int ours(void *address, const char *name, int *noted) {
    sigset_t all, before;
    struct caller caller = {(unsigned long)address, 0};
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);      /* the thread is not to be stopped here instead */
    real_iterate(look, &caller);
    if (caller.found && !sigismember(&before, SIGUSR2)) note("open", name);
    else if (caller.found && !*noted) { *noted = 1; note("safe", name); }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return caller.found;
}

#define OURS(name) ({ static int noted; ours(__builtin_return_address(0), name, &noted); })

static int hold(struct dl_phdr_info *info, size_t size, void *data) {
    (void)info; (void)size; (void)data;
    const char *time = getenv("LOADER_HOLD");
    if (time) usleep((useconds_t)atol(time));
    return 1;
}

int dl_iterate_phdr(Each each, void *data) {
    if (OURS("dl_iterate_phdr")) real_iterate(hold, NULL);
    return real_iterate(each, data);
}

int dladdr(const void *address, Dl_info *info) {
    OURS("dladdr");
    return real_dladdr(address, info);
}

int dlclose(void *handle) {
    OURS("dlclose");
    return real_dlclose(handle);
}

/* Without RTLD_DEEPBIND, with which Julia's libraries would pass by what stands here; and it ends with a jump, as in
 * shim.c. */
void *dlopen(const char *path, int flags) {
    OURS("dlopen");
    return real_dlopen(path, flags & ~RTLD_DEEPBIND);
}
