// Waiting in MicroPython's unix port: select, sleep, and what interrupts them.
// SPDX-License-Identifier: MIT
//
// Without its POSIX optimisation extmod/modselect.c asks every object by
// ioctl(MP_STREAM_POLL), and if none is ready calls mp_event_wait_ms(), which
// handles what is pending and then "waits for an event". The port's own wait
// for an event sleeps 500 us. Ours knows what to wait for: in modselect.c three
// calls are renamed (mpconfigvariant.mk), so that each object registered gets
// our ioctl in front of its own. Per object that is not ready we note
//
//   ours         the socket module called far_mp_asked()  -> the doorbell
//   a file       sys.stdin, a pipe, or a bare descriptor  -> ppoll()
//   neither      a class with its own ioctl()             -> ask every 1 ms
//
// A round is what one pass over a poll's objects has noted. Between its first
// question and its wait, another thread or a scheduled function may take the
// doorbell: far_mp_port_sequence() is sampled before the first question and
// compared before sleeping. A doorbell nobody took is still there to end the
// wait, since the link's eventfd is edge-triggered in an epoll and never read.

#define _GNU_SOURCE // ppoll

#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "py/mphal.h"
#include "py/mpthread.h"
#include "py/objtype.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "extmod/vfs_posix.h"

// More files than this in one poll, and the rest is asked every CAP_NS.
#define ROUND_FDS 64

// As modselect.c does for objects it can only ask.
#define CAP_NS INT64_C(1000000)

#define FOREVER ((mp_uint_t)-1)

struct round {
    bool open;         // something was asked since the last wait
    bool ours;         // one of them waits for the doorbell
    bool cap;          // one of them can only be asked again
    unsigned sequence; // before the first was asked
    unsigned n;
    int fds[ROUND_FDS];
    short events[ROUND_FDS];
};

static _Thread_local struct round asked;

// The question under way reached a socket of ours.
static _Thread_local bool reached_ours;

_Static_assert(MP_STREAM_POLL_RD == POLLIN && MP_STREAM_POLL_WR == POLLOUT &&
                   MP_STREAM_POLL_ERR == POLLERR &&
                   MP_STREAM_POLL_HUP == POLLHUP &&
                   MP_STREAM_POLL_NVAL == POLLNVAL,
    "flags go to poll() and back as they are");

// The round whose wait is running, for far_mp_stale().
static _Thread_local const struct round *waiting;

// Rung when MicroPython has something to run on the main thread, the only one
// that has exceptions and scheduled functions pending. Made by that thread
// before its first wait: until then nobody needs it.
static atomic_int bell = -1;
static atomic_bool bell_rung;

// --- Interrupting ---

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool is_pending(void) {
    return MP_STATE_THREAD(mp_pending_exception) != MP_OBJ_NULL ||
           MP_STATE_VM(sched_state) == MP_SCHED_PENDING;
}

static void ring_bell(void) {
    int fd = atomic_load(&bell);
    if (fd >= 0) {
        // Full means rung already. The flag comes second: whoever reads it as
        // unset will find the bell rung once more, and then the flag.
        uint64_t one = 1;
        ssize_t ignored = write(fd, &one, sizeof(one));
        (void)ignored;
        atomic_store(&bell_rung, true);
    }
    far_mp_interrupt();
}

static void quieten_bell(void) {
    if (atomic_exchange(&bell_rung, false)) {
        uint64_t count;
        ssize_t ignored = read(atomic_load(&bell), &count, sizeof(count));
        (void)ignored;
    }
}

// Takes the place of MicroPython's function, which is far_mp_real_interrupt()
// here. The port's SIGINT handler calls it. A thread that had looked at what is
// pending and not slept yet would otherwise sleep on.
void mp_sched_keyboard_interrupt(void) {
    int saved_errno = errno;
    far_mp_real_interrupt();
    ring_bell();
    errno = saved_errno;
}

// In mp_sched_schedule(), with MicroPython's atomic section entered.
void far_mp_scheduled(void) {
    if (!mp_thread_is_main_thread()) {
        ring_bell();
    }
}

// --- Stand-ins until the socket module defines these ---

__attribute__((weak)) void far_mp_interrupt(void) {
}

__attribute__((weak)) unsigned far_mp_port_sequence(void) {
    return 0;
}

__attribute__((weak)) int far_mp_port_wait(int *extra_fds, short *events,
    unsigned n, int64_t timeout_ns) {
    return far_mp_plain_wait(extra_fds, events, n, timeout_ns);
}

// --- Waiting ---

int far_mp_plain_wait(const int *fds, const short *events, unsigned n,
    int64_t timeout_ns) {
    struct pollfd set[ROUND_FDS + 1];
    unsigned used = 0;
    bool is_main = mp_thread_is_main_thread();
    if (is_main) {
        if (atomic_load(&bell) < 0) {
            atomic_store(&bell, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        }
        // The handler that saw no bell has set this before.
        if (is_pending()) {
            return 1;
        }
        set[used++] = (struct pollfd){atomic_load(&bell), POLLIN, 0};
    }
    for (unsigned i = 0; i < n && i < ROUND_FDS; i++) {
        set[used++] = (struct pollfd){fds[i], events[i], 0};
    }
    struct timespec t = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };
    int ret = ppoll(set, used, timeout_ns < 0 ? NULL : &t, NULL);
    if (is_main) {
        quieten_bell();
    }
    return ret;
}

bool far_mp_stale(void) {
    return waiting != NULL && waiting->sequence != far_mp_port_sequence();
}

static void wait_for(struct round *r, mp_uint_t timeout_ms) {
    int64_t timeout_ns = -1;
    if (timeout_ms != FOREVER) {
        // Whoever asks for centuries gets as many as 64 bits hold.
        timeout_ns = (int64_t)MIN(timeout_ms, INT64_MAX / 1000000) * 1000000;
    }
    if (r->cap && (timeout_ns < 0 || timeout_ns > CAP_NS)) {
        timeout_ns = CAP_NS;
    }
    if (mp_thread_is_main_thread() && is_pending()) {
        // Scheduled by what just ran on this thread: nobody rang for it.
        return;
    }
    MP_THREAD_GIL_EXIT();
    if (r->ours) {
        waiting = r->open ? r : NULL;
        if (!far_mp_stale()) {
            far_mp_port_wait(r->fds, r->events, r->n, timeout_ns);
        }
        waiting = NULL;
    } else {
        far_mp_plain_wait(r->fds, r->events, r->n, timeout_ns);
    }
    MP_THREAD_GIL_ENTER();
}

// MICROPY_INTERNAL_WFE: a wait that no poll began, such as a TLS handshake's
// on a non-blocking socket, is most likely for one of our sockets.
void far_mp_wait(mp_uint_t timeout_ms) {
    struct round r = {.ours = true};
    wait_for(&r, timeout_ms);
}

void far_mp_delay_ms(mp_uint_t ms) {
    int64_t end = now_ns() + (int64_t)ms * 1000000;
    for (;;) {
        mp_event_handle_nowait();
        int64_t left = end - now_ns();
        if (left <= 0) {
            return;
        }
        MP_THREAD_GIL_EXIT();
        far_mp_plain_wait(NULL, NULL, 0, left);
        MP_THREAD_GIL_ENTER();
    }
}

// time.sleep() calls this as select(2), and after EINTR handles what is pending
// and sleeps for what *left then says. select() itself would sleep on if the
// signal came just before it.
int far_mp_sleep(int n, fd_set *in, fd_set *out, fd_set *err,
    struct timeval *left) {
    (void)n;
    (void)in;
    (void)out;
    (void)err;
    int64_t span =
        left->tv_sec * INT64_C(1000000000) + left->tv_usec * INT64_C(1000);
    if (span < 0) {
        errno = EINVAL;
        return -1;
    }
    int64_t end = now_ns() + span;
    if (far_mp_plain_wait(NULL, NULL, 0, span) == 0) {
        return 0;
    }
    int64_t rest = MAX(end - now_ns(), 0);
    left->tv_sec = rest / 1000000000;
    left->tv_usec = rest % 1000000000 / 1000;
    errno = EINTR;
    return -1;
}

// --- What a poll asks ---

void far_mp_asked(void) {
    reached_ours = true;
}

static void note_file(struct round *r, int fd, mp_uint_t asked_for) {
    short events = (short)asked_for;
    for (unsigned i = 0; i < r->n; i++) {
        if (r->fds[i] == fd) {
            r->events[i] |= events;
            return;
        }
    }
    if (r->n == ROUND_FDS) {
        r->cap = true;
        return;
    }
    r->fds[r->n] = fd;
    r->events[r->n++] = events;
}

static struct round *open_round(void) {
    if (!asked.open) {
        asked.open = true;
        asked.ours = asked.cap = false;
        asked.n = 0;
        asked.sequence = far_mp_port_sequence();
    }
    return &asked;
}

// -1 if it has none, or is a wrapper: that may wait for another direction than
// it was asked for.
static int descriptor_of(mp_obj_t obj, const mp_stream_p_t *stream) {
    const mp_obj_type_t *type = mp_obj_get_type(obj);
    if (type != &mp_type_vfs_posix_fileio &&
        type != &mp_type_vfs_posix_textio) {
        return -1;
    }
    int error;
    return (int)stream->ioctl(obj, MP_STREAM_GET_FILENO, 0, &error);
}

// How the wait for an object that is not ready will end.
static void note(mp_obj_t obj, const mp_stream_p_t *stream, mp_uint_t asked_for,
    bool is_ours) {
    struct round *r = open_round();
    int fd;
    if (mp_obj_is_instance_type(mp_obj_get_type(obj))) {
        // Python code decides when it is ready, even if it asked one of ours.
        r->cap = true;
    } else if (is_ours) {
        r->ours = true;
    } else if ((fd = descriptor_of(obj, stream)) >= 0) {
        note_file(r, fd, asked_for);
    } else {
        r->cap = true;
    }
}

// With the POSIX optimisation poll() takes descriptors too, so ours does.
static mp_uint_t ask_descriptor(int fd, mp_uint_t asked_for) {
    // MicroPython's flags are poll(2)'s.
    struct pollfd p = {fd, (short)asked_for, 0};
    if (poll(&p, 1, 0) > 0) {
        return (mp_uint_t)p.revents;
    }
    note_file(open_round(), fd, asked_for);
    return 0;
}

static mp_uint_t ask_object(mp_obj_t obj, mp_uint_t asked_for, int *errcode) {
    const mp_stream_p_t *stream = mp_get_stream(obj);
    reached_ours = false;
    mp_uint_t ret = stream->ioctl(obj, MP_STREAM_POLL, asked_for, errcode);
    if (ret == 0) {
        note(obj, stream, asked_for, reached_ours);
    }
    return ret;
}

static mp_uint_t ask(mp_obj_t obj, mp_uint_t request, uintptr_t arg,
    int *errcode) {
    (void)request; // modselect.c has only MP_STREAM_POLL
    open_round();
    mp_uint_t ret = mp_obj_is_small_int(obj)
                        ? ask_descriptor((int)MP_OBJ_SMALL_INT_VALUE(obj), arg)
                        : ask_object(obj, arg, errcode);
    if (ret != 0) {
        // This poll will not wait; the next begins with a fresh sample.
        asked.open = false;
    }
    return ret;
}

// modselect.c takes nothing but the ioctl of what this returns.
const mp_stream_p_t *far_mp_poll_stream(mp_obj_t obj, int flags) {
    static const mp_stream_p_t asking = {.ioctl = ask};
    if (!mp_obj_is_small_int(obj)) {
        mp_get_stream_raise(obj, flags);
    } else if (MP_OBJ_SMALL_INT_VALUE(obj) < 0) {
        mp_raise_ValueError(NULL);
    }
    return &asking;
}

void far_mp_poll_wait_ms(mp_uint_t timeout_ms) {
    // What runs now may poll too.
    struct round r = asked;
    asked.open = false;
    if (!r.open) {
        // An empty poll: a sleep.
        r.ours = r.cap = false;
        r.n = 0;
    }
    mp_event_handle_nowait();
    wait_for(&r, timeout_ms);
}

void far_mp_poll_wait(void) {
    far_mp_poll_wait_ms(FOREVER);
}
