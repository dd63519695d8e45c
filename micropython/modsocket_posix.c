// The socket module on MicroPython's unix port: links through ports/posix.
// SPDX-License-Identifier: MIT

#define _GNU_SOURCE // ppoll

#include "modsocket_link.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "py/mphal.h"
#include "py/mpthread.h"
#include "py/runtime.h"

#include "farsock/posix.h"
#include "variant/wait.h"

#define NS_PER_SECOND 1000000000u
#define FIRST_NUMBER  3 // as natively, where 0 to 2 are the terminal
#define FULL_NS       10000000u

// These are never freed, so that signal handlers and objects whose socket is
// long closed can hold a pointer to one. It is 48 bytes for each time that
// farsockd was started again.
struct far_mp_link {
    struct far_mp_link *next;
    struct far_link *near;
    _Atomic(struct far_posix *) posix; // NULL: closed
    atomic_uint refs;
    atomic_bool is_watched; // a thread of its own looks at it
};

static _Atomic(struct far_mp_link *) links;
static _Atomic(struct far_mp_link *) current; // holds a reference
static atomic_uint opened;                    // links, ever
static atomic_uint interrupting; // calls of far_mp_interrupt() under way

// --- References -------------------------------------------------------------

bool far_mp_link_ref(struct far_mp_link *link) {
    unsigned refs = atomic_load(&link->refs);
    while (refs > 0) {
        if (atomic_compare_exchange_weak(&link->refs, &refs, refs + 1u)) {
            return true;
        }
    }
    return false;
}

void far_mp_link_unref(struct far_mp_link *link) {
    if (atomic_fetch_sub(&link->refs, 1u) > 1u) {
        return;
    }
    struct far_posix *posix = atomic_exchange(&link->posix, NULL);
    while (atomic_load(&interrupting) > 0) {
        sched_yield();
    }
    far_posix_close(posix);
}

struct far_link *far_mp_link_near(struct far_mp_link *link) {
    return link->near;
}

// --- Interruption -----------------------------------------------------------

// Asked by the near library before and after each sleep of a call.
static bool is_interrupted(void *arg) {
    (void)arg;
#if MICROPY_PY_THREAD
    if (mp_thread_get_state() == NULL) {
        return false; // a thread of ours
    }
#endif
    if (MP_STATE_THREAD(mp_pending_exception) != MP_OBJ_NULL) {
        return true;
    }
#if MICROPY_PY_THREAD && !MICROPY_PY_THREAD_GIL
    if (!mp_thread_is_main_thread()) {
        return false; // scheduled functions run there
    }
#endif
    return MP_STATE_VM(sched_state) == MP_SCHED_PENDING;
}

void far_mp_interrupt(void) {
    atomic_fetch_add(&interrupting, 1u);
    struct far_mp_link *link = atomic_load(&links);
    for (; link != NULL; link = link->next) {
        struct far_posix *posix = atomic_load(&link->posix);
        if (posix != NULL) {
            far_posix_interrupt(posix);
        }
    }
    atomic_fetch_sub(&interrupting, 1u);
}

// --- Opening ----------------------------------------------------------------

static int link_new(struct far_mp_link **out) {
    struct far_mp_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return FAR_ENOMEM;
    }
    struct far_posix_options options = {
        .wait_s = -1,
        .interrupted = is_interrupted,
    };
    struct far_posix *posix;
    int err = far_posix_open(&posix, &options);
    if (err != FAR_OK) {
        free(link);
        return err;
    }
    link->near = far_posix_link(posix);
    atomic_init(&link->posix, posix);
    atomic_init(&link->refs, 2u); // the caller's and current's
    link->next = atomic_load(&links);
    while (!atomic_compare_exchange_weak(&links, &link->next, link)) {
    }
    *out = link;
    return FAR_OK;
}

// The current link with a reference; NULL if there is none that is up.
static struct far_mp_link *current_ref(struct far_mp_link **seen) {
    struct far_mp_link *link = *seen = atomic_load(&current);
    if (link == NULL || !far_mp_link_ref(link)) {
        return NULL;
    }
    if (far_link_is_up(link->near)) {
        return link;
    }
    far_mp_link_unref(link);
    return NULL;
}

int far_mp_link_open(struct far_mp_link **out) {
    for (;;) {
        struct far_mp_link *dead, *link;
        if ((*out = current_ref(&dead)) != NULL) {
            return FAR_OK;
        }
        int err = link_new(&link);
        if (err != FAR_OK) {
            return err;
        }
        // No lock is held while that waits for farsockd: of several threads
        // that open a link the first one's counts.
        if (atomic_compare_exchange_strong(&current, &dead, link)) {
            atomic_fetch_add(&opened, 1u);
            if (dead != NULL) {
                far_mp_link_unref(dead);
            }
            *out = link;
            return FAR_OK;
        }
        far_mp_link_unref(link);
        far_mp_link_unref(link);
    }
}

// --- Numbers ----------------------------------------------------------------

// Which socket has which number; a free one has no link. Used only inside
// MicroPython's atomic section.
static struct numbered {
    struct far_mp_link *link;
    int sock;
} * numbers;
static int numbers_size;
static int numbers_free = FIRST_NUMBER; // none below it is free

static bool numbers_grow(void) {
    int size = numbers_size == 0 ? 32 : 2 * numbers_size;
    struct numbered *grown =
        realloc(numbers, (size_t)size * sizeof(struct numbered));
    if (grown == NULL) {
        return false;
    }
    for (int i = numbers_size; i < size; i++) {
        grown[i] = (struct numbered){NULL, -1};
    }
    numbers = grown;
    numbers_size = size;
    return true;
}

static int number_take(struct far_mp_link *link, int sock) {
    int i = numbers_free;
    while (i < numbers_size && numbers[i].link != NULL) {
        i++;
    }
    if (i >= numbers_size && !numbers_grow()) {
        return -1;
    }
    numbers[i] = (struct numbered){link, sock};
    numbers_free = i + 1;
    return i;
}

int far_mp_number_new(struct far_mp_link *link, int sock) {
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    int number = number_take(link, sock);
    MICROPY_END_ATOMIC_SECTION(state);
    return number;
}

bool far_mp_number_find(int number, struct far_mp_link **link, int *sock) {
    bool found = false;
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    if (number >= 0 && number < numbers_size && numbers[number].link != NULL) {
        *link = numbers[number].link;
        *sock = numbers[number].sock;
        found = true;
    }
    MICROPY_END_ATOMIC_SECTION(state);
    return found;
}

bool far_mp_number_drop(int number, struct far_mp_link *link, int sock) {
    bool dropped = false;
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    if (number < numbers_size && numbers[number].link == link &&
        numbers[number].sock == sock) {
        numbers[number] = (struct numbered){NULL, -1};
        numbers_free = MIN(numbers_free, number);
        dropped = true;
    }
    MICROPY_END_ATOMIC_SECTION(state);
    return dropped;
}

// --- Time and surroundings --------------------------------------------------

uint64_t far_mp_now(void) {
    return far_posix_now();
}

bool far_mp_compat_k230(void) {
#if FARSOCK_COMPAT_K230
    return true;
#else
    static atomic_int known; // 0: not yet, 1: no, 2: yes
    if (atomic_load(&known) == 0) {
        const char *compat = getenv("FARSOCK_COMPAT");
        atomic_store(&known,
            compat != NULL && strcmp(compat, "k230") == 0 ? 2 : 1);
    }
    return atomic_load(&known) == 2;
#endif
}

// --- Waiting, for variant/wait.c --------------------------------------------

struct extra {
    struct far_posix *posix;
    const int *fds;
    const short *events;
    unsigned n;
    bool ready; // one of fds
};

// Takes the place of the port's wait(), with descriptors beside the doorbell.
static int wait_with(void *arg, uint64_t deadline_ns) {
    struct extra *x = arg;
    struct pollfd set[x->n + 1u];
    set[0] = (struct pollfd){far_posix_fd(x->posix), POLLIN, 0};
    for (unsigned i = 0; i < x->n; i++) {
        set[i + 1] = (struct pollfd){x->fds[i], x->events[i], 0};
    }
    uint64_t now = far_posix_now();
    uint64_t span = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec t = {
        .tv_sec = (time_t)(span / NS_PER_SECOND),
        .tv_nsec = (long)(span % NS_PER_SECOND),
    };
    bool forever = deadline_ns == FAR_FOREVER;
    int ret = ppoll(set, x->n + 1u, forever ? NULL : &t, NULL);
    if (ret < 0) {
        return FAR_EINTR;
    }
    if (set[0].revents != 0) {
        if (far_posix_ack(x->posix) == FAR_ELINKDOWN) {
            return FAR_ELINKDOWN;
        }
        ret--;
    } else if (ret == 0) {
        return FAR_ETIMEDOUT;
    }
    x->ready = ret > 0;
    // After FAR_OK it would find nothing to do, and sleep again.
    return x->ready ? FAR_ETIMEDOUT : FAR_OK;
}

static int wait_on(struct far_mp_link *link, struct extra *x,
    int64_t timeout_ns) {
    // First this, then that: if it is not stale, nothing came before this.
    uint32_t events = far_link_events(link->near);
    if (far_mp_stale()) {
        return 1;
    }
    uint64_t deadline_ns =
        timeout_ns < 0 ? FAR_FOREVER : far_posix_now() + (uint64_t)timeout_ns;
    x->posix = atomic_load(&link->posix);
    int err = far_link_wait(link->near, events, deadline_ns,
        x->n > 0 ? wait_with : NULL, x);
    if (err == FAR_ETIMEDOUT) {
        return x->ready;
    }
    return err == FAR_EINTR ? -1 : 1;
}

int far_mp_port_wait(int *extra_fds, short *events, unsigned n,
    int64_t timeout_ns) {
    struct far_mp_link *seen;
    struct far_mp_link *link = current_ref(&seen);
    if (link == NULL) {
        // A socket of a dead link is ready, whatever it is asked.
        return far_mp_plain_wait(extra_fds, events, n, timeout_ns);
    }
    struct extra x = {.fds = extra_fds, .events = events, .n = n};
    int ret = wait_on(link, &x, timeout_ns);
    far_mp_link_unref(link);
    return ret;
}

unsigned far_mp_port_sequence(void) {
    struct far_mp_link *seen;
    struct far_mp_link *link = current_ref(&seen);
    if (link == NULL) {
        return 0;
    }
    // Another link's numbers have nothing to do with this one's.
    unsigned sequence =
        far_link_events(link->near) + (atomic_load(&opened) << 20);
    far_mp_link_unref(link);
    return sequence;
}

// --- Watching ---------------------------------------------------------------

static void watch(struct far_mp_link *link) {
    while (far_link_is_up(link->near)) {
        uint32_t events = far_link_events(link->near);
        enum far_mp_watch look = far_mp_watch_look(link);
        if (look == FAR_MP_UNWATCHED) {
            return;
        }
        bool full = look == FAR_MP_FULL;
        far_link_wait(link->near, events,
            full ? far_posix_now() + FULL_NS : FAR_FOREVER, NULL, NULL);
    }
    far_mp_watch_look(link); // whose sockets are all ready now
}

static void *watch_thread(void *arg) {
    struct far_mp_link *link = arg;
    do {
        watch(link);
        atomic_store(&link->is_watched, false);
        // A socket may have come since, and seen is_watched.
    } while (far_link_is_up(link->near) &&
             far_mp_watch_look(link) != FAR_MP_UNWATCHED &&
             !atomic_exchange(&link->is_watched, true));
    far_mp_link_unref(link);
    return NULL;
}

// Signals are for MicroPython's threads.
static bool start(struct far_mp_link *link) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int err = pthread_create(&thread, NULL, watch_thread, link);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err == 0) {
        pthread_detach(thread);
    }
    return err == 0;
}

void far_mp_watch(struct far_mp_link *link) {
    if (!atomic_exchange(&link->is_watched, true)) {
        if (!far_mp_link_ref(link)) {
            return;
        }
        if (!start(link)) {
            atomic_store(&link->is_watched, false);
            far_mp_link_unref(link);
        }
    }
    // Arms the socket: the thread wakes at each KICK, of whatever socket.
    far_mp_watch_look(link);
}
