// The near program: links up, makes one call while somebody may die, and checks
// what is left.
// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/sweep/sweep.h"

struct notes *notes;

void must(bool holds, const char *fmt, ...) {
    if (holds) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(notes->error, sizeof notes->error, fmt, args);
    va_end(args);
    _exit(2);
}

int descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d && readdir(d)) {
        n++;
    }
    if (d) {
        closedir(d);
    }
    return n;
}

int open_link(struct near *n, double wait_s) {
    struct far_posix_options o = {
        .path = n->path,
        .name = "sweep",
        .wait_s = wait_s,
        .sockets = 8,
        .ring = RING,
        .quiet = true,
        .rescue = n->rescue,
    };
    int err = far_posix_open(&n->port, &o);
    n->l = err == FAR_OK ? far_posix_link(n->port) : NULL;
    return err;
}

int near_stream(struct near *n, int i, enum peer peer) {
    struct far_addr to = loopback(peer_ports[peer]);
    n->s[i] = far_socket(n->l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    n->read_at[i] = 0;
    return n->s[i] < 0 ? n->s[i] : far_connect(n->l, n->s[i], &to, FAR_FOREVER);
}

int near_dgram(struct near *n, int i) {
    struct far_addr any = loopback(0);
    n->s[i] = far_socket(n->l, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    return n->s[i] < 0 ? n->s[i] : far_bind(n->l, n->s[i], &any);
}

// An answer of far's after everything before it; false if far is dead.
static bool far_lives(struct near *n) {
    return n->l && far_if_nametoindex(n->l, "lo") != FAR_ENETDOWN;
}

static bool is_down_error(const struct sweep_call *c, int r) {
    if (c->kind & SWEEP_LOOKUP) {
        return r == FAR_EAI_SYSTEM;
    }
    return r == FAR_ENETDOWN || r == FAR_ECONNRESET || r == FAR_EPIPE;
}

// What had arrived, then a reset once, then the end.
static void read_out(struct near *n, int i) {
    uint8_t buf[LONG_BYTES];
    int r;
    do {
        r = far_recvfrom(n->l, n->s[i], buf, sizeof buf, 0, NULL, NULL,
            FAR_FOREVER);
        must(r <= 0 || is_pattern(buf, n->read_at[i], (size_t)r),
            "socket %d: wrong bytes after far's death", i);
        n->read_at[i] += r > 0 ? (size_t)r : 0;
    } while (r > 0);
    bool told = n->resets[i];
    must(told ? r == 0 : r == FAR_ECONNRESET || r == FAR_ENOTCONN,
        "socket %d: recv gives %d after far's death", i, r);
    r = far_recvfrom(n->l, n->s[i], buf, sizeof buf, 0, NULL, NULL,
        FAR_FOREVER);
    must(r == 0 || r == FAR_ENOTCONN, "socket %d: then recv gives %d", i, r);
}

static void check_after_death(struct near *n, const struct sweep_call *c) {
    must(far_socket(n->l, FAR_AF_INET, FAR_SOCK_STREAM, 0) == FAR_ENETDOWN,
        "socket() works without far");
    for (int i = 0; i < SOCKS; i++) {
        if (n->s[i] < 0) {
            continue;
        }
        struct far_pollfd p = {.sock = n->s[i], .events = FAR_POLLIN};
        must(far_poll(n->l, &p, 1, FAR_FOREVER) == 1 &&
                 (p.revents & (FAR_POLLHUP | FAR_POLLNVAL)),
            "socket %d: poll says %#x", i, (unsigned)p.revents);
        uint32_t type = 0, ignored = 0;
        if (far_sockinfo(n->l, n->s[i], &ignored, &type, &ignored) == FAR_OK &&
            type == FAR_SOCK_STREAM && !(c->kind & SWEEP_ENDS)) {
            read_out(n, i);
        }
    }
}

static void hang_up(struct near *n) {
    for (int i = 0; i < SOCKS && n->l; i++) {
        if (n->s[i] >= 0) {
            int r = far_close(n->l, n->s[i], FAR_FOREVER);
            must(r == FAR_OK || r == FAR_EBADF, "close gives %d", r);
        }
        n->s[i] = -1;
    }
    if (n->port) {
        struct far_counters count[2];
        far_link_counters(n->l, &count[FAULTY_NEAR], &count[FAULTY_FAR]);
        notes->rescues[0] += count[0].rescues;
        notes->rescues[1] += count[1].rescues;
        far_posix_close(n->port);
    }
    n->port = NULL;
    n->l = NULL;
    if (n->fd >= 0) {
        close(n->fd);
    }
    n->fd = -1;
    must(descriptors() == n->fds, "near leaks %d descriptors",
        descriptors() - n->fds);
}

// A new link to a new farsockd carries bytes.
static void live_again(struct near *n) {
    char buf[8] = "";
    must(open_link(n, LIMIT_S) == FAR_OK, "no new link");
    int r = near_stream(n, 0, PEER_ECHO);
    must(r == FAR_OK, "new link: connect gives %d", r);
    r = far_sendto(n->l, n->s[0], "again", 5, 0, NULL, FAR_FOREVER);
    must(r == 5, "new link: send gives %d", r);
    r = far_recvfrom(n->l, n->s[0], buf, 5, FAR_MSG_WAITALL, NULL, NULL,
        FAR_FOREVER);
    must(r == 5 && !memcmp(buf, "again", 5), "new link: recv gives %d", r);
    hang_up(n);
}

// Near asks and waits for nothing: if its doorbell got lost, only far can find
// what it had announced.
static void look_on(const struct near *n) {
    struct timespec t = {.tv_nsec = 1000000};
    const char *died = faulty->side[FAULTY_FAR].last;
    bool there = false;
    for (int i = 0; i < 10000 && !there && !died[0]; i++) {
        there = far_ready(n->l, n->s[0], FAR_POLLIN, false) & FAR_POLLIN;
        nanosleep(&t, NULL);
    }
    must(there || died[0],
        "far does not look for what a lost doorbell announced");
}

_Noreturn void near_run(const struct sweep_call *c, const char *path,
    bool rescue) {
    struct near n = {
        .s = {-1, -1, -1, -1}, .fd = -1, .path = path, .rescue = rescue};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(LIMIT_S);
    n.fds = descriptors();
    if (!(c->kind & SWEEP_LINK)) {
        must(open_link(&n, LIMIT_S) == FAR_OK, "no link");
    }
    if (c->set_up) {
        c->set_up(&n);
    }
    faulty_be(FAULTY_NEAR);
    faulty->on = 1;
    int r = c->call(&n);
    notes->called = 1;
    if ((c->kind & SWEEP_LOOKS) && far_link_is_up(n.l)) {
        look_on(&n);
    }
    far_lives(&n); // far's part of the call ends before this does
    faulty->on = 0;
    faulty_be(FAULTY_NONE);
    n.resets[0] = r == FAR_ECONNRESET;
    bool died = faulty->side[FAULTY_FAR].last[0] != 0;
    if (died && n.l) {
        must(!far_lives(&n), "a dead far answers");
        must(r == c->want || is_down_error(c, r) || (r > 0 && r < c->want),
            "%s gives %d when far dies", c->name, r);
        check_after_death(&n, c);
    } else if (!died) {
        must(r == c->want, "%s gives %d", c->name, r);
    }
    hang_up(&n);
    if (died) {
        live_again(&n);
    }
    notes->done = 1;
    _exit(0);
}
