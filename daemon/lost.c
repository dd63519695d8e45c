// Memory that may be lost.
// SPDX-License-Identifier: MIT
#include "daemon/lost.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

// Only the engine's thread touches such memory, and changes this.
static struct lost *guarded;

static struct lost *find(const char *at) {
    struct lost *l = guarded;
    while (l != NULL && (at < l->mem || at >= l->mem + l->bytes)) {
        l = l->next;
    }
    return l;
}

// One page: the kernel still says EFAULT of the others, so that no zeros are
// taken for bytes of a stream.
static bool mend(struct lost *l, const char *at) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *start = l->mem + (size_t)(at - l->mem) / page * page;
    uint64_t one = 1;
    return mmap(start, page, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == start &&
           write(l->event, &one, sizeof one) == sizeof one;
}

static void bus_error(int sig, siginfo_t *info, void *context) {
    int saved = errno;
    struct lost *l = find(info->si_addr);
    (void)context;
    if (l == NULL || !mend(l, info->si_addr)) {
        signal(sig, SIG_DFL); // it happens again, and ends us
    }
    errno = saved;
}

static void event_ready(struct watch *w, uint32_t events) {
    struct lost *l = (struct lost *)w;
    (void)events;
    engine_unwatch(l->engine, &l->watch, l->event);
    l->told(l->arg);
}

int lost_guard(struct lost *l, struct engine *e) {
    struct sigaction a = {.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->event < 0) {
        return -1;
    }
    l->watch.ready = event_ready;
    if (sigaction(SIGBUS, &a, NULL) < 0 ||
        engine_watch(e, &l->watch, l->event, EPOLLIN) < 0) {
        close(l->event);
        return -1;
    }
    l->engine = e;
    l->next = guarded;
    guarded = l;
    return 0;
}

void lost_forget(struct lost *l) {
    if (l->engine == NULL) {
        return;
    }
    struct lost **at = &guarded;
    while (*at != l) {
        at = &(*at)->next;
    }
    *at = l->next;
    l->engine = NULL;
    close(l->event);
}
