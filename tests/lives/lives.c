// Fixed memory on which either side dies at each step, link-up included, and is
// born again.
// SPDX-License-Identifier: MIT
//
//   usage: lives all|SECONDS [SEED]
//
// Runs in a network namespace of its own that has loopback. The process that
// drives has memory and doorbells, as a board would; near and far are forked.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/engine.h"
#include "daemon/fixed.h"
#include "daemon/log.h"
#include "farsock/farsock.h"
#include "ports/faulty/faulty.h"

#define BYTES     (1u << 18)
#define NEAR_BELL 7u
#define SENT      30000u // more than the rings hold
#define LIVES     20     // of near, until it must have had a whole one
#define LIMIT_S   30u
#define MISSES    3u

static uint8_t *memory;
static int to_far, to_near, listening;
static uint16_t port_number;
static pid_t far_pid;
static uint32_t failures;

static struct notes {
    _Atomic uint32_t taken; // by sends, in this life
    _Atomic uint32_t done;
    _Atomic uint32_t live; // far's allocations when near had finished
    char error[200];
} * notes;

static uint8_t pattern(size_t i) {
    return (uint8_t)(i * 7u + (i >> 8) * 13u);
}

static uint64_t clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void ring(int fd) {
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

// --- Near: a core without threads ---

static struct far_join join;
static struct far_link *up;

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return clock_now();
}

static void notify(void *ctx) {
    (void)ctx;
    ring(to_far);
}

static void wake(void *ctx) {
    (void)ctx;
    ring(to_near);
}

static int wait_bell(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    struct pollfd p = {to_near, POLLIN, 0};
    uint64_t now = clock_now();
    uint64_t ms = deadline_ns > now ? (deadline_ns - now) / 1000000u + 1u : 0;
    int n = poll(&p, 1, ms > 10000u ? 10000 : (int)ms);
    uint64_t count;
    if (n > 0 && read(to_near, &count, sizeof count) < 0) {
        n = 0;
    }
    if (up && !far_join_holds(&join)) {
        return FAR_ELINKDOWN;
    }
    return n > 0 ? FAR_OK : FAR_ETIMEDOUT;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait_bell,
    .wake = wake,
};

static bool link_up(void) {
    int err = FAR_EAGAIN;
    up = NULL;
    join = (struct far_join){
        .region = memory,
        .region_bytes = BYTES,
        .bell = NEAR_BELL,
        .port = &port,
    };
    far_join_begin(&join);
    while ((err = far_join_step(&join)) == FAR_EAGAIN) {
        wait_bell(NULL, clock_now() + 5000000u);
    }
    void *mem = err == FAR_OK ? malloc(far_link_size(&join.layout)) : NULL;
    up = mem ? far_link_init_joined(mem, &join, &err) : NULL;
    return up != NULL;
}

// One life: a connection that says the pattern, its end, and a goodbye that far
// answers. True if it was a whole one.
static bool live(void) {
    static uint8_t bytes[SENT];
    struct far_addr to = {
        .family = FAR_AF_INET, .port = port_number, .ip = {127, 0, 0, 1}};
    for (size_t i = 0; i < SENT; i++) {
        bytes[i] = pattern(i);
    }
    notes->taken = 0;
    if (!link_up()) {
        return false;
    }
    int s = far_socket(up, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    int r = s < 0 ? s : far_connect(up, s, &to, FAR_FOREVER);
    while (r >= 0 && notes->taken < SENT) {
        uint32_t n = notes->taken;
        uint32_t most = SENT - n < 5000u ? SENT - n : 5000u;
        r = far_sendto(up, s, bytes + n, most, 0, NULL, FAR_FOREVER);
        notes->taken += r > 0 ? (uint32_t)r : 0;
    }
    if (s >= 0) {
        far_close(up, s, FAR_FOREVER);
    }
    bool whole = r >= 0 && far_if_nametoindex(up, "lo") > 0;
    free(up);
    up = NULL;
    return whole;
}

static _Noreturn void be_near(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(LIMIT_S);
    faulty_be(FAULTY_NEAR);
    for (int i = 0; i < LIVES && !notes->done; i++) {
        notes->done = live();
    }
    _exit(notes->done ? 0 : 3);
}

// --- Far ---

static int bell_to_near(void *arg, uint32_t bell) {
    (void)arg;
    return bell == NEAR_BELL ? to_near : -1;
}

static _Noreturn void be_far(void) {
    struct engine_config ec = {.resolver_threads = 1};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    far_log_limit(FAR_LOG_ERROR);
    faulty_be(FAULTY_FAR);
    struct fixed_spec spec = {
        .engine = engine_new(&ec),
        .region = memory,
        .bytes = BYTES,
        .sockets = 4,
        .tags = 4,
        .bell = 3,
        .bell_from_near = to_far,
        .name = "lives",
        .bell_to_near = bell_to_near,
    };
    if (!fixed_new(&spec)) {
        _exit(4);
    }
    engine_run(spec.engine);
    _exit(0);
}

static void start_far(void) {
    fflush(stdout);
    faulty->side[FAULTY_FAR].live = 0;
    far_pid = fork();
    if (far_pid == 0) {
        be_far();
    }
}

static pid_t start_near(void) {
    fflush(stdout);
    notes->done = 0;
    pid_t pid = fork();
    if (pid == 0) {
        be_near();
    }
    return pid;
}

// --- What is left ---

static void fail(int side, uint32_t step, const char *what) {
    printf("# %s killed at step %u (%s): %s\n",
        side == FAULTY_NEAR ? "near" : "far", step, faulty->side[side].last,
        what);
    fflush(stdout);
    failures++;
}

// Reads a connection to its end: bytes, or -1 for a wrong one, -2 without end.
static long read_out(int fd) {
    uint8_t buf[8192];
    struct timeval patience = {.tv_sec = 10};
    long got = 0;
    ssize_t n;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] != pattern((size_t)(got + i))) {
                return -1;
            }
        }
        got += n;
    }
    return n < 0 && errno == EAGAIN ? -2 : got;
}

// The connections of all lives since the last look, in their order: the first
// has what its life's sends had taken, the last everything.
static const char *check_connections(uint32_t taken, bool first_counts) {
    long last = 0;
    bool first = true;
    struct pollfd p = {listening, POLLIN, 0};
    while (poll(&p, 1, 0) > 0) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        last = read_out(fd);
        close(fd);
        if (last == -1) {
            return "wrong bytes arrived";
        }
        if (last == -2) {
            return "a connection of an earlier life does not end";
        }
        if (first && first_counts && last < (long)taken) {
            return "what a send had taken did not arrive";
        }
        first = false;
    }
    return last == SENT ? NULL : "the last life's bytes did not all arrive";
}

static int wait_near(pid_t near, bool *far_died) {
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == near) {
            return status;
        }
        if (pid == far_pid) {
            *far_died = true;
            faulty->side[FAULTY_FAR].kill_at = 0;
            start_far();
        }
    }
}

static void clear_faults(void) {
    for (int i = 0; i < 2; i++) {
        faulty->side[i].steps = faulty->side[i].kill_at = 0;
        memset(faulty->side[i].last, 0, sizeof faulty->side[i].last);
    }
}

// far's allocations, when nothing but the link is left: always as many.
static const char *check_far(bool far_died) {
    static uint32_t most;
    for (int i = 0; i < 2000; i++) {
        uint32_t live = faulty->side[FAULTY_FAR].live;
        if (most == 0 || far_died || live <= most) {
            most = most ? most : live;
            return NULL;
        }
        struct timespec t = {.tv_nsec = 1000000};
        nanosleep(&t, NULL);
    }
    return "far leaks memory";
}

// near_step, far_step: where they are killed in this run, 0: nowhere. Whether
// that of this side was.
static bool run(int side, uint32_t near_step, uint32_t far_step) {
    clear_faults();
    faulty->side[FAULTY_NEAR].kill_at = near_step;
    faulty->side[FAULTY_FAR].kill_at = far_step;
    faulty->on = 1;
    bool far_died = false;
    int status = wait_near(start_near(), &far_died);
    bool near_died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    uint32_t taken = notes->taken;
    if (near_died) {
        status = wait_near(start_near(), &far_died);
    }
    faulty->on = 0;
    uint32_t step = side == FAULTY_NEAR ? near_step : far_step;
    const char *what = NULL;
    if (WIFSIGNALED(status)) {
        what = WTERMSIG(status) == SIGALRM ? "near hangs" : "near crashed";
    } else if (WEXITSTATUS(status)) {
        what = "near finds no life";
    } else {
        what = check_connections(taken, near_died && !far_died);
    }
    what = what ? what : check_far(far_died);
    if (what) {
        fail(side, step, what);
    }
    return side == FAULTY_NEAR ? near_died : far_died;
}

static uint32_t sweep_side(int side) {
    uint32_t missed = 0;
    uint32_t points = 0;
    for (uint32_t n = 1; missed < MISSES && failures < 10; n++) {
        bool died = side == FAULTY_NEAR ? run(side, n, 0) : run(side, 0, n);
        missed = died ? 0 : missed + 1;
        points += died;
    }
    return points;
}

// Both, anywhere.
static uint32_t sweep_both(double seconds) {
    uint64_t until = clock_now() + (uint64_t)(seconds * 1e9);
    uint32_t runs = 0;
    while (clock_now() < until && failures < 10) {
        run((int)(runs & 1u), 1u + (uint32_t)random() % 400u,
            1u + (uint32_t)random() % 400u);
        runs++;
    }
    return runs;
}

static void *share(size_t size) {
    void *m = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) {
        abort();
    }
    return m;
}

static void start(void) {
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof sa;
    memory = share(BYTES);
    notes = share(sizeof *notes);
    faulty = share(sizeof *faulty);
    to_far = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    to_near = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&sa, len) < 0 ||
        getsockname(listening, (struct sockaddr *)&sa, &len) < 0 ||
        listen(listening, 64) < 0) {
        abort();
    }
    port_number = ntohs(sa.sin_port);
    signal(SIGPIPE, SIG_IGN);
    start_far();
}

int main(int argc, char **argv) {
    bool all = argc > 1 && !strcmp(argv[1], "all");
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 1;
    srandom(seed);
    start();
    run(FAULTY_NEAR, 0, 0);
    uint32_t near = 0;
    uint32_t far = 0;
    if (all) {
        near = sweep_side(FAULTY_NEAR);
        far = sweep_side(FAULTY_FAR);
    }
    uint32_t both = sweep_both(all ? 30 : argc > 1 ? strtod(argv[1], NULL) : 5);
    printf("# near killed at %u steps, far at %u, both in %u runs; seed %u, %u "
           "failed\n",
        near, far, both, seed, failures);
    kill(far_pid, SIGKILL);
    return failures ? 1 : 0;
}
