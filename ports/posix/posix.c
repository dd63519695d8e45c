// The posix port: region, doorbells, sleeping and parking on Linux.
// SPDX-License-Identifier: MIT
#include "ports/posix/guard.h"
#include "ports/posix/hello.h"
#include "farsock/mem.h"
#include "ports/posix/map.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S      1000000000ull
#define BUSY_POLL_MAX 1000000 // us, of $FARSOCK_BUSY_POLL

struct far_posix {
    struct far_link *link;
    uint8_t *region;
    uint64_t region_bytes;
    int conn;      // the Unix socket: its hang-up is far's death
    int bell_far;  // eventfd: we ring
    int bell_near; // eventfd: far rings, and we ourselves to wake up
    int epfd;      // both, edge-triggered
    int first_fd;  // the least number of these
    bool gone;     // the hang-up was seen
    struct far_posix_beat *beat; // NULL: the kernel reports deaths
    struct far_port port;        // with what its options ask for
    bool (*interrupted)(void *arg);
    void (*moved)(void *arg);
    void (*told)(void *arg, uint32_t slot);
    void *arg;
};

// --- The port's hooks ---

uint64_t far_posix_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return far_posix_now();
}

static void ring(int fd) {
    uint64_t one = 1;
    // The counter is never read; it would take centuries to fill.
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

static void notify(void *ctx) {
    ring(((struct far_posix *)ctx)->bell_far);
}

static void wake(void *ctx) {
    ring(((struct far_posix *)ctx)->bell_near);
}

static struct timespec timespec_of(uint64_t ns) {
    return (struct timespec){
        .tv_sec = (time_t)(ns / NS_PER_S),
        .tv_nsec = (long)(ns % NS_PER_S),
    };
}

// One wait on the link's descriptors. How many events, or -1 with errno.
static int wait_events(const struct far_posix *p, struct epoll_event *ev,
    int max, uint64_t deadline) {
    if (deadline == UINT64_MAX) {
        return epoll_wait(p->epfd, ev, max, -1);
    }
    uint64_t now = far_posix_now();
    if (deadline <= now) {
        return epoll_wait(p->epfd, ev, max, 0);
    }
    struct timespec left = timespec_of(deadline - now);
    int n = epoll_pwait2(p->epfd, ev, max, &left, NULL);
    if (n < 0 && errno == ENOSYS) { // before Linux 5.11
        uint64_t ms = (deadline - now + 999999u) / 1000000u;
        n = epoll_wait(p->epfd, ev, max, ms < INT_MAX ? (int)ms : INT_MAX);
    }
    return n;
}

static int wait(void *ctx, uint64_t deadline_ns) {
    struct far_posix *p = ctx;
    struct epoll_event ev[2];
    int n = wait_events(p, ev, 2, deadline_ns);
    if (n < 0) {
        return errno == EINTR ? FAR_EINTR : FAR_ELINKDOWN;
    }
    for (int i = 0; i < n; i++) {
        if (ev[i].data.fd == p->conn) {
            p->gone = true;
        }
    }
    if (p->gone) {
        return FAR_ELINKDOWN;
    }
    return n > 0 ? FAR_OK : FAR_ETIMEDOUT;
}

static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    (void)ctx;
    struct timespec t = timespec_of(deadline_ns);
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
        deadline_ns == UINT64_MAX ? NULL : &t, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void unpark(void *ctx, _Atomic uint32_t *word) {
    (void)ctx;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX);
}

static bool interrupted(void *ctx) {
    const struct far_posix *p = ctx;
    return p->interrupted(p->arg);
}

static void moved(void *ctx) {
    const struct far_posix *p = ctx;
    p->moved(p->arg);
}

static void told(void *ctx, uint32_t slot) {
    const struct far_posix *p = ctx;
    p->told(p->arg, slot);
}

static uint32_t busy_poll_us(const struct far_posix_options *o) {
    const char *env = getenv("FARSOCK_BUSY_POLL");
    if (o->busy_poll_us || !env) {
        return o->busy_poll_us;
    }
    long us = strtol(env, NULL, 10);
    return us > 0 ? (uint32_t)(us < BUSY_POLL_MAX ? us : BUSY_POLL_MAX) : 0;
}

// A link has the hooks that its options have, and no others. rescue: as if
// doorbells could get lost.
static struct far_port port_of(const struct far_posix_options *o, bool rescue) {
    return (struct far_port){
        .now_ns = now_ns,
        .notify = notify,
        .wait = wait,
        .wake = wake,
        .park = park,
        .unpark = unpark,
        .interrupted = o->interrupted ? interrupted : NULL,
        .moved = o->moved ? moved : NULL,
        .told = o->told ? told : NULL,
        .held = o->held,
        .let_go = o->let_go,
        .rescue_ms = rescue ? FAR_RESCUE_MS : 0,
        .copy = far_guard_port_copy,
        .busy_poll_us = busy_poll_us(o),
    };
}

// --- Opening ---

static void name_of_process(char *out, size_t size) {
    FILE *f = fopen("/proc/self/comm", "re");
    if (f) {
        size_t n = fread(out, 1, size - 1, f);
        out[n > 0 && out[n - 1] == '\n' ? n - 1 : n] = '\0';
        fclose(f);
    }
}

// A stream's first byte lies in the middle of a page. Kernels begin theirs at
// the beginning of one, and what goes from there to 1 to 31 bytes behind the
// same place of another some processors copy byte by byte (guard.c): so it was
// for all of a stream where another socket had sent a few bytes before it.
#define INDEX_BASE 2048u

// Tests make every index of a program wrap soon.
static uint32_t index_base(const struct far_posix_options *o) {
    const char *env = getenv("FARSOCK_INDEX_BASE");
    if (o->index_base) {
        return o->index_base;
    }
    return env ? (uint32_t)strtoul(env, NULL, 0) : INDEX_BASE;
}

static struct far_hello make_hello(const struct far_posix_options *o) {
    struct far_hello h = {
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
        .kind = FAR_HELLO_LINK,
        .features = (o->rescue ? FAR_FEATURE_RESCUE : 0u) |
                    (o->beat ? FAR_FEATURE_BEAT : 0u),
        .sockets = o->sockets,
        .tx_ring = o->ring,
        .rx_ring = o->ring,
        .index_base = index_base(o),
    };
    if (o->name) {
        snprintf(h.name, sizeof h.name, "%s", o->name);
    } else {
        name_of_process(h.name, sizeof h.name);
    }
    return h;
}

// Far could cut the file under our mapping, and kill us with SIGBUS at the next
// access, were it not sealed.
static bool is_whole(int memfd, uint64_t size) {
    struct stat st;
    int seals = fcntl(memfd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(memfd, &st) == 0 &&
           st.st_size >= 0 && (uint64_t)st.st_size >= size;
}

// Maps the region, reads the layout, checks it.
static int map_region(struct far_posix *p, int memfd, uint32_t far_line,
    struct far_layout *lay) {
    uint64_t far_at = (uint64_t)far_line * FAR_LINE;
    uint64_t size = p->region_bytes;
    if (size < sizeof(struct far_near_ctl) + sizeof(struct far_far_ctl) ||
        size > SIZE_MAX / 2u || far_at == 0 ||
        far_at > size - sizeof(struct far_far_ctl) || !is_whole(memfd, size)) {
        return FAR_EBADMSG;
    }
    p->region = far_map(memfd, (size_t)size, (size_t)far_at, true);
    if (!p->region) {
        return FAR_ENOMEM;
    }
    const uint8_t *at =
        p->region + far_at + offsetof(struct far_far_ctl, layout);
    FAR_INV(FAR_AT_NEAR_LAYOUT, at, sizeof *lay);
    memcpy(lay, at, sizeof *lay);
    return far_layout_check(lay, size) == FAR_OK &&
                   (uint64_t)lay->far_at * FAR_LINE == far_at
               ? FAR_OK
               : FAR_EBADMSG;
}

static int watch(int epfd, int fd, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.fd = fd};
    return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == 0 ? FAR_OK : FAR_ENOMEM;
}

// Moves a descriptor out of the way of a program that expects the low numbers
// for itself.
static int lift(int fd, int first) {
    if (fd < 0 || fd >= first) {
        return fd;
    }
    int high = fcntl(fd, F_DUPFD_CLOEXEC, first);
    if (high < 0) {
        return fd;
    }
    close(fd);
    return high;
}

static int set_up(struct far_posix *p, int memfd, const struct far_welcome *w) {
    struct far_layout lay;
    int err = map_region(p, memfd, w->far_at, &lay);
    if (err != FAR_OK) {
        return err;
    }
    p->epfd = lift(epoll_create1(EPOLL_CLOEXEC), p->first_fd);
    if (p->epfd < 0) {
        return FAR_EMFILE;
    }
    err = watch(p->epfd, p->bell_near, EPOLLIN | EPOLLET);
    if (err == FAR_OK) {
        err = watch(p->epfd, p->conn, EPOLLIN | EPOLLRDHUP);
    }
    if (err != FAR_OK) {
        return err;
    }
    void *mem = malloc(far_link_size(&lay));
    if (!mem) {
        return FAR_ENOMEM;
    }
    p->link =
        far_link_init(mem, p->region, p->region_bytes, &lay, &p->port, p, &err);
    if (!p->link) {
        free(mem);
    } else if (w->features & FAR_FEATURE_BEAT) {
        p->beat = far_posix_beat_start(p->link);
        err = p->beat ? FAR_OK : FAR_ENOMEM;
    }
    return err;
}

static void close_fd(int fd) {
    if (fd >= 0) {
        close(fd);
    }
}

void far_posix_close(struct far_posix *p) {
    if (!p) {
        return;
    }
    if (p->beat) {
        far_posix_beat_stop(p->beat);
    }
    close_fd(p->epfd);
    close_fd(p->conn);
    close_fd(p->bell_far);
    close_fd(p->bell_near);
    if (p->region) {
        far_unmap(p->region, (size_t)p->region_bytes);
    }
    free(p->link);
    free(p);
}

struct attempt {
    const struct far_posix_options *o;
    struct far_welcome welcome; // text says why it was refused
};

static int try_path(const char *path, struct attempt *a,
    struct far_posix **out) {
    struct far_hello hello = make_hello(a->o);
    struct far_posix *p = calloc(1, sizeof *p);
    if (!p) {
        return FAR_ENOMEM;
    }
    p->conn = p->bell_far = p->bell_near = p->epfd = -1;
    p->first_fd = a->o->first_fd;
    p->interrupted = a->o->interrupted;
    p->moved = a->o->moved;
    p->told = a->o->told;
    p->arg = a->o->arg;
    int fds[3];
    int err = far_posix_dial(path, &p->conn);
    if (err == FAR_OK) {
        err = far_posix_hello(p->conn, &hello, &a->welcome, fds, 3);
    }
    if (err == FAR_OK) {
        p->region_bytes = a->welcome.region_bytes;
        a->welcome.features &= hello.features;
        p->port = port_of(a->o, a->welcome.features & FAR_FEATURE_RESCUE);
        p->conn = lift(p->conn, p->first_fd);
        p->bell_far = lift(fds[1], p->first_fd);
        p->bell_near = lift(fds[2], p->first_fd);
        err = set_up(p, fds[0], &a->welcome);
        close(fds[0]);
    }
    if (err == FAR_OK) {
        *out = p;
    } else {
        far_posix_close(p);
    }
    return err;
}

#define PATHS_MAX 4

static int all_paths(const struct far_posix_options *o, const char **paths) {
    const char *named = o->path ? o->path : getenv("FARSOCK_LINK");
    if (named && named[0]) {
        paths[0] = named;
        return 1;
    }
    return far_posix_paths(paths, PATHS_MAX);
}

static void complain(int err, const struct attempt *a, const char **paths,
    int count) {
    static _Atomic uint32_t told;
    if (a->o->quiet || atomic_exchange(&told, 1u)) {
        return;
    }
    char list[512] = "";
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof list; i++) {
        int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
            paths[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (a->welcome.text[0]) {
        fprintf(stderr, "farsock: %s: %s\n", list, a->welcome.text);
    } else {
        fprintf(stderr,
            "farsock: no farsockd answers (%s); tried: %s. Start farsockd, or "
            "set FARSOCK_LINK or FARSOCK_WAIT=seconds.\n",
            far_strerror(err), list);
    }
}

static int try_all(struct attempt *a, const char **paths, int count,
    struct far_posix **out) {
    int err = FAR_ENETDOWN;
    for (int i = 0; i < count; i++) {
        int one = try_path(paths[i], a, out);
        if (one == FAR_OK) {
            return FAR_OK;
        }
        // The most telling failure: somebody was there.
        err = one != FAR_ENETDOWN ? one : err;
    }
    return err;
}

static uint64_t wait_until(const struct far_posix_options *o) {
    double s = o->wait_s;
    const char *env = getenv("FARSOCK_WAIT");
    if (s < 0) {
        s = env ? strtod(env, NULL) : 0;
    }
    if (!(s > 0)) {
        return 0;
    }
    s = s < 1e9 ? s : 1e9;
    return far_posix_now() + (uint64_t)(s * 1e9);
}

// A near core often boots first: try again every 20 ms.
static int pause_retry(const struct far_posix_options *o) {
    struct timespec t = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&t, NULL);
    return o->interrupted && o->interrupted(o->arg) ? FAR_EINTR : FAR_OK;
}

int far_posix_open(struct far_posix **out, const struct far_posix_options *o) {
    const char *paths[PATHS_MAX];
    int count = all_paths(o, paths);
    struct attempt a = {.o = o};
    uint64_t until = wait_until(o);
    int err = try_all(&a, paths, count, out);
    while (err == FAR_ENETDOWN && far_posix_now() < until) {
        err = pause_retry(o);
        if (err == FAR_OK) {
            err = try_all(&a, paths, count, out);
        }
    }
    if (err != FAR_OK && err != FAR_EINTR) {
        complain(err, &a, paths, count);
    }
    return err;
}

// --- For bindings ---

struct far_link *far_posix_link(struct far_posix *p) {
    return p->link;
}

void far_posix_interrupt(struct far_posix *p) {
    far_link_interrupt(p->link);
}

int far_posix_fd(struct far_posix *p) {
    return p->epfd;
}

int far_posix_ack(struct far_posix *p) {
    return wait(p, 1u) == FAR_ELINKDOWN ? FAR_ELINKDOWN : FAR_OK;
}

int far_posix_fds(struct far_posix *p, int *out, int max) {
    const int all[] = {p->conn, p->bell_far, p->bell_near, p->epfd};
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && n < max; i++) {
        out[n++] = all[i];
    }
    return n;
}
