// Kills near or farsockd at each step of each call, and looks at what is left.
// SPDX-License-Identifier: MIT
//
//   usage: sweep FARSOCKD LINK all|SECONDS|bells|bellsSECONDS [SEED [CALL]]
//
// Runs in a network namespace of its own that has loopback.

#include "tests/sweep/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// So many runs in a row in which nobody died: the call has no more steps.
#define MISSES     3u
#define STEPS_MOST 5000u
#define ENOUGH     10u // failures
#define TRIES      3

static struct far far;
static uint32_t failures;

static void clear_faults(void) {
    faulty->on = 0;
    for (int i = 0; i < 2; i++) {
        struct faulty_steps *s = &faulty->side[i];
        s->steps = s->kill_at = s->ring_at = s->ring_count = 0;
        s->bells = s->bell_at = s->bell_every = s->bell_fault = 0;
        memset(s->last, 0, sizeof s->last);
    }
}

static const char *doing = "killed at step";

static void fail(const struct sweep_call *c, int side, uint32_t step,
    const char *what) {
    printf("# %s: %s %s %u (%s): %s\n", c->name,
        side == FAULTY_NEAR ? "near" : "farsockd", doing, step,
        side < 2 ? faulty->side[side].last : "-", what);
    fflush(stdout);
    failures++;
}

static bool rescue; // links whose doorbells may get lost

static pid_t start_near(const struct sweep_call *c) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        near_run(c, far.path, rescue);
    }
    return pid;
}

// Waits for the near program; a farsockd that dies is started anew.
static int wait_near(pid_t near, bool *far_died) {
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == near) {
            return status;
        }
        if (pid == far.pid) {
            // Near reads far's death before the next one begins.
            *far_died = true;
            faulty->on = 0;
            faulty->side[FAULTY_FAR].kill_at = 0;
            far.pid = 0;
            far_start(&far, NULL);
        }
    }
}

// What near wrote and was told to have been taken is there, and nothing else.
static const char *wrong_bytes(void) {
    for (int i = 0; i < 5000; i++) {
        if (received.bad) {
            return "wrong bytes arrived";
        }
        if ((received.bytes >= notes->sent &&
                received.dgrams >= notes->dgrams) ||
            faulty->side[FAULTY_FAR].last[0]) { // killed late
            return NULL;
        }
        struct timespec t = {.tv_nsec = 1000000};
        nanosleep(&t, NULL);
    }
    return "what a send had taken did not arrive";
}

static void check_near(const struct sweep_call *c, int side, uint32_t step,
    int status) {
    if (notes->error[0]) {
        fail(c, side, step, notes->error);
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        fail(c, side, step,
            notes->called ? "near hangs behind the call"
                          : "near hangs in the call");
    } else if (!notes->done) {
        fail(c, side, step, "near crashed");
    }
}

static void begin(void) {
    memset(notes, 0, sizeof *notes);
    clear_faults();
    notes->run = peers_reset();
}

// One run with a death at this step. False if nobody died.
static bool point(const struct sweep_call *c, int side, uint32_t step) {
    begin();
    if (side < 2) {
        faulty->side[side].kill_at = step;
    }
    bool far_died = false;
    int status = wait_near(start_near(c), &far_died);
    bool near_died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    faulty->on = 0;
    const char *what = NULL;
    if (!near_died) {
        check_near(c, side, step, status);
    }
    if (far_died && side != FAULTY_FAR) {
        fail(c, side, step, "farsockd crashed");
    } else if (!far_died && (what = wrong_bytes()) != NULL) {
        fail(c, side, step, what);
    }
    // A farsockd killed late may die once near has gone.
    what = far_leak(&far);
    if (what && far.pid == 0 && side == FAULTY_FAR) {
        far_start(&far, NULL);
        far_died = true;
        what = NULL;
    }
    if (what) {
        fail(c, side, step, what);
        far_end(&far);
        far_start(&far, NULL);
    }
    return side == FAULTY_NEAR ? near_died : far_died;
}

struct count {
    uint32_t steps[2];
    uint32_t points;
};

static uint32_t sweep_side(const struct sweep_call *c, int side) {
    uint32_t missed = 0;
    uint32_t points = 0;
    for (uint32_t step = 1;
         missed < MISSES && step < STEPS_MOST && failures < ENOUGH; step++) {
        bool died = point(c, side, step);
        missed = died ? 0 : missed + 1;
        points += died;
    }
    return points;
}

// A run without a death: the steps, and what farsockd holds afterwards.
static void count_steps(const struct sweep_call *c, struct count *out) {
    point(c, FAULTY_NONE, 0);
    out->steps[0] = faulty->side[0].steps;
    out->steps[1] = faulty->side[1].steps;
}

static double seconds(void) {
    return (double)far_posix_now() / 1e9;
}

static uint32_t sweep_all(struct count *counts, const char *only) {
    uint32_t total = 0;
    for (size_t i = 0; i < sweep_call_count; i++) {
        const struct sweep_call *c = &sweep_calls[i];
        if (only && strcmp(only, c->name) != 0) {
            continue;
        }
        double start = seconds();
        uint32_t near = sweep_side(c, FAULTY_NEAR);
        uint32_t far_points = sweep_side(c, FAULTY_FAR);
        const char *what = far_sockets(2);
        if (what) {
            fail(c, FAULTY_FAR, 0, what);
        }
        printf("# %-22s %6u %6u   %6.1f s\n", c->name, near, far_points,
            seconds() - start);
        fflush(stdout);
        counts[i].points = near + far_points;
        total += counts[i].points;
    }
    return total;
}

static uint32_t sweep_sample(const struct count *counts, double length) {
    uint32_t total = 0;
    double end = seconds() + length;
    while (seconds() < end && failures < ENOUGH) {
        size_t i = (size_t)random() % sweep_call_count;
        int side = (int)(random() & 1);
        uint32_t most = counts[i].steps[side];
        if (most) {
            uint32_t step = 1u + (uint32_t)random() % most;
            total += point(&sweep_calls[i], side, step);
        }
    }
    return total;
}

// --- Doorbells ---

struct bell {
    const char *doing;
    bool rescue;    // on a link whose doorbells may get lost
    uint32_t fault; // of doorbell n; or
    uint32_t count; // at step n, rung so often for no reason
    bool exact;     // nothing needs to be rescued
};

static const struct bell bells[] = {
    {"rings twice at doorbell", false, FAULTY_BELL_TWICE, 0, true},
    {"rings late at doorbell", false, FAULTY_BELL_LATE, 0, true},
    {"rings early at step", false, 0, 1, true},
    {"storms at step", false, 0, 1000, true},
    {"rings twice at doorbell", true, FAULTY_BELL_TWICE, 0, true},
    {"rings early at step", true, 0, 1, true},
    {"storms at step", true, 0, 1000, true},
    {"loses doorbell", true, FAULTY_BELL_LOST, 0, false},
};

static const char rescued[] = "something had to be rescued";
static uint32_t rescues[2];

// One run with this doorbell wrong: what is wrong then, or NULL.
static const char *try_bell(const struct sweep_call *c, const struct bell *b,
    int side, uint32_t n) {
    begin();
    struct faulty_steps *s = &faulty->side[side];
    s->bell_fault = b->fault;
    s->bell_at = b->fault ? n : 0;
    s->ring_at = b->count ? n : 0;
    s->ring_count = b->count;
    bool far_died = false;
    doing = b->doing;
    rescue = b->rescue;
    int status = wait_near(start_near(c), &far_died);
    faulty->on = 0;
    check_near(c, side, n, status);
    const char *what = far_died ? "farsockd crashed" : wrong_bytes();
    what = what ? what : far_leak(&far);
    if (!what && b->exact && (notes->rescues[0] || notes->rescues[1])) {
        what = rescued;
    }
    rescues[0] += notes->rescues[0];
    rescues[1] += notes->rescues[1];
    return what;
}

// As often as it takes to see no rescue: on a busy machine one side may stand
// between publishing and ringing until the other's patience ends. A doorbell
// that is not rung is missed each time. False if it was not rung so often.
static bool ring_wrong(const struct sweep_call *c, const struct bell *b,
    int side, uint32_t n) {
    const char *what = rescued;
    for (int i = 0; i < TRIES && what == rescued; i++) {
        what = try_bell(c, b, side, n);
    }
    if (what) {
        fail(c, side, n, what);
    }
    const struct faulty_steps *s = &faulty->side[side];
    return b->fault ? s->bells >= n : s->steps >= n;
}

// Every doorbell, or each tenth step, of each call; or so many seconds of them.
static uint32_t sweep_bells(const char *only, double length) {
    uint32_t runs = 0;
    double end = length > 0 ? seconds() + length : 1e300;
    for (size_t i = 0; i < sweep_call_count; i++) {
        // Where time is short, begin somewhere else each time.
        size_t first = length > 0 ? (size_t)random() : i;
        const struct sweep_call *c = &sweep_calls[first % sweep_call_count];
        if (only && strcmp(only, c->name) != 0) {
            continue;
        }
        for (size_t k = 0; k < 2 * sizeof bells / sizeof *bells; k++) {
            const struct bell *b = &bells[k / 2];
            uint32_t n = b->fault ? 1 : 1 + (uint32_t)random() % 10u;
            while (failures < ENOUGH && seconds() < end &&
                   ring_wrong(c, b, (int)(k & 1), n)) {
                n += b->fault ? 1 : 10;
                runs++;
            }
        }
    }
    printf("# %u doorbells wrong, rescues: near %u, farsockd %u\n", runs,
        rescues[0], rescues[1]);
    return runs;
}

static void *share_memory(const char *path, size_t size) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        abort();
    }
    void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return m;
}

static void start(char **argv) {
    char path[200];
    snprintf(path, sizeof path, "%s.faults", argv[2]);
    faulty = share_memory(path, sizeof *faulty);
    setenv("FARSOCK_FAULTS", path, 1);
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    far.program = argv[1];
    far.path = argv[2];
    peers_start();
    far_start(&far, NULL);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr,
            "usage: sweep FARSOCKD LINK all|SECONDS|bells [SEED]\n");
        return 2;
    }
    bool all = !strcmp(argv[3], "all");
    unsigned seed = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 0) : 1;
    const char *only = argc > 5 ? argv[5] : NULL;
    struct count *counts = calloc(sweep_call_count, sizeof *counts);
    signal(SIGPIPE, SIG_IGN);
    start(argv);
    srandom(seed);
    // Whatever is made with first use is there after one run.
    far.fds = far.threads = 1 << 20;
    far.live = 1u << 20;
    for (size_t i = 0; i < sweep_call_count; i++) {
        if (!only || !strcmp(only, sweep_calls[i].name)) {
            count_steps(&sweep_calls[i], &counts[i]);
        }
    }
    far_baseline(&far);
    printf("# %-22s %6s %6s\n", "call", "near", "far");
    for (size_t i = 0; i < sweep_call_count && !all; i++) {
        printf("# %-22s %6u %6u\n", sweep_calls[i].name, counts[i].steps[0],
            counts[i].steps[1]);
    }
    uint32_t total = 0;
    if (!strncmp(argv[3], "bells", 5)) {
        total = sweep_bells(only, strtod(argv[3] + 5, NULL));
        failures += only || (rescues[0] && rescues[1]) ? 0 : 1;
    } else {
        total = all ? sweep_all(counts, only)
                    : sweep_sample(counts, strtod(argv[3], NULL));
    }
    printf("# %u points swept, seed %u, %u failed\n", total, seed, failures);
    far_end(&far);
    free(counts);
    return failures ? 1 : 0;
}
