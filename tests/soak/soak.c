// Thousands of sockets, random work, random faults: every byte is checked, and
// at the end nothing is left.
// SPDX-License-Identifier: MIT
//
//   usage: soak FARSOCKD LINK SECONDS [SEED]
//
// Runs in a network namespace of its own that has loopback.

#include "tests/soak/soak.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS    10
#define PATIENCE_S 60 // for a near core to go on

struct soak *soak;
struct notes *notes; // the sweep's, of no use here

static struct far far;
static pid_t nears[NEARS];
static unsigned seed;
static unsigned lives;

enum fault {
    KILL_NEAR,
    KILL_FAR,
    STEP_NEAR, // killed at a step
    STEP_FAR,
    STOP_NEAR, // for a while
    STOP_FAR,
    RELOAD,
    SCARCE, // descriptors of farsockd's
    BELLS_NEAR,
    BELLS_FAR,
    FAULTS,
};
static const char *const names[FAULTS] = {
    "near killed",
    "farsockd killed",
    "near killed at a step",
    "farsockd killed at a step",
    "near stopped",
    "farsockd stopped",
    "reload",
    "no descriptors",
    "near's doorbells",
    "farsockd's doorbells",
};
static uint32_t done[FAULTS];
static pid_t stopped;

void soak_fail(const char *fmt, ...) {
    va_list args;
    if (atomic_exchange(&soak->failed, 1u)) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(soak->error, sizeof soak->error, fmt, args);
    va_end(args);
}

static double seconds(void) {
    return (double)far_posix_now() / 1e9;
}

static void start_near(unsigned i) {
    unsigned its = seed + ++lives * 7919u;
    fflush(stdout);
    nears[i] = fork();
    if (nears[i] == 0) {
        soak_near(i, its, far.path);
    }
}

static void start_far(void) {
    faulty->side[FAULTY_FAR].kill_at = 0;
    far_start(&far, NULL);
}

// --- Faults ---

static uint32_t soon(int side) {
    return faulty->side[side].steps + 1u + (uint32_t)random() % 5000u;
}

static void limit_descriptors(rlim_t n) {
    struct rlimit r;
    if (prlimit(far.pid, RLIMIT_NOFILE, NULL, &r) == 0) {
        r.rlim_cur = n ? n : r.rlim_max;
        prlimit(far.pid, RLIMIT_NOFILE, &r, NULL);
    }
}

static void wrong_bells(int side) {
    struct faulty_steps *s = &faulty->side[side];
    uint32_t first = soak->rescue ? FAULTY_BELL_LOST : FAULTY_BELL_TWICE;
    s->bell_fault = first + (uint32_t)random() % (FAULTY_BELL_LATE - first + 1);
    s->bell_every = 2u + (uint32_t)random() % 30u;
    s->bell_at = s->bells + 1u;
    s->ring_at = soon(side);
    s->ring_count = 1u + (uint32_t)random() % 1000u;
}

static void stop(pid_t pid) {
    if (!stopped) {
        stopped = pid;
        kill(pid, SIGSTOP);
    }
}

// What lasts for a while ends.
static void mend(void) {
    if (stopped) {
        kill(stopped, SIGCONT);
        stopped = 0;
    }
    limit_descriptors(0);
    for (int i = 0; i < 2; i++) {
        faulty->side[i].bell_at = 0;
    }
}

static void break_something(void) {
    enum fault f = (enum fault)((uint32_t)random() % FAULTS);
    pid_t near = nears[(uint32_t)random() % NEARS];
    // A death of farsockd ends everything: less often than the rest.
    if ((f == KILL_FAR || f == STEP_FAR) && random() % 4) {
        return;
    }
    done[f]++;
    switch (f) {
        case KILL_NEAR:
            kill(near, SIGKILL);
            break;
        case KILL_FAR:
            soak->far_lives++;
            kill(far.pid, SIGKILL);
            break;
        case STEP_NEAR:
            faulty->side[FAULTY_NEAR].kill_at = soon(FAULTY_NEAR);
            break;
        case STEP_FAR:
            soak->far_lives++;
            faulty->side[FAULTY_FAR].kill_at = soon(FAULTY_FAR);
            break;
        case STOP_NEAR:
            stop(near);
            break;
        case STOP_FAR:
            stop(far.pid);
            break;
        case RELOAD:
            kill(far.pid, SIGHUP);
            break;
        case SCARCE:
            limit_descriptors(50u + (rlim_t)random() % 500u);
            break;
        case BELLS_NEAR:
            wrong_bells(FAULTY_NEAR);
            break;
        default:
            wrong_bells(FAULTY_FAR);
            break;
    }
}

// --- Looking after them ---

static void reap_near(unsigned i, int status) {
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    nears[i] = 0;
    if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        soak_fail("a near core ended with status %#x", (unsigned)status);
    }
    if (!soak->stop) {
        start_near(i);
    }
}

static void reap(void) {
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == far.pid) {
            if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
                soak_fail("farsockd ended with status %#x", (unsigned)status);
            }
            soak->far_lives++;
            start_far();
        }
        for (unsigned i = 0; i < NEARS; i++) {
            if (nears[i] == pid) {
                reap_near(i, status);
            }
        }
    }
}

static void check_alive(double now) {
    static uint32_t last[NEARS];
    static double since[NEARS];
    for (int i = 0; i < NEARS; i++) {
        if (last[i] != soak->alive[i] || since[i] == 0 || nears[i] == 0) {
            last[i] = soak->alive[i];
            since[i] = now;
        } else if (now - since[i] > PATIENCE_S) {
            soak_fail("near core %d stands still for %d s", i, PATIENCE_S);
        }
    }
}

static void say(double begun) {
    uint32_t open = 0;
    uint32_t faults = 0;
    for (int i = 0; i < NEARS; i++) {
        open += soak->open[i];
    }
    for (int i = 0; i < FAULTS; i++) {
        faults += done[i];
    }
    printf("# %4.0f s: %u sockets open, %llu opened, %.1f MB checked, %u "
           "faults, "
           "%u rescues\n",
        seconds() - begun, open, (unsigned long long)soak->sockets,
        (double)soak->bytes / 1e6, faults, soak->rescues);
    fflush(stdout);
}

static void wait_turn(void) {
    struct timespec t = {.tv_nsec = TURN_MS * 1000000L};
    nanosleep(&t, NULL);
    reap();
}

static void run(double length, bool faults) {
    double begun = seconds();
    double told = begun;
    double next = begun;
    while (seconds() - begun < length && !soak->failed) {
        double now = seconds();
        wait_turn();
        check_alive(now);
        if (faults && now >= next) {
            mend();
            break_something();
            next = now + 0.02 + (double)(random() % 300) / 1000;
        }
        if (now - told >= 5) {
            say(begun);
            told = now;
        }
    }
    mend();
    say(begun);
}

static void start_nears(unsigned count) {
    soak->stop = 0;
    for (unsigned i = 0; i < count; i++) {
        start_near(i);
    }
}

// All near cores end; then farsockd holds what it held before.
static void end_nears(const char *when) {
    double begun = seconds();
    bool some = true;
    soak->stop = 1;
    faulty->side[FAULTY_NEAR].kill_at = faulty->side[FAULTY_FAR].kill_at = 0;
    while (some && seconds() - begun < PATIENCE_S) {
        some = false;
        wait_turn();
        for (int i = 0; i < NEARS; i++) {
            some = some || nears[i] != 0;
        }
    }
    if (some) {
        soak_fail("%s: a near core does not end", when);
        return;
    }
    const char *what = far_leak(&far);
    if (what) {
        soak_fail("%s: %s", when, what);
    }
}

// --- The beginning and the end ---

static void *share(const char *path, size_t size) {
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
        abort();
    }
    void *m = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    if (m == MAP_FAILED) {
        abort();
    }
    return m;
}

static long resident_kb(void) {
    char path[64];
    char line[128];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)far.pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (!strncmp(line, "RssAnon:", 8)) {
            kb = strtol(line + 8, NULL, 10);
        }
    }
    if (f) {
        fclose(f);
    }
    return kb;
}

static void start(char **argv) {
    char path[200];
    snprintf(path, sizeof path, "%s.faults", argv[2]);
    faulty = share(path, sizeof *faulty);
    setenv("FARSOCK_FAULTS", path, 1);
    soak = share(NULL, sizeof *soak);
    far.program = argv[1];
    far.path = argv[2];
    far.fds = far.threads = 1 << 20;
    far.live = 1u << 20;
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    soak_peers_start();
    start_far();
    faulty->on = 1;
}

static void summary(long before, long after) {
    for (int i = 0; i < FAULTS; i++) {
        printf("# %-26s %6u\n", names[i], done[i]);
    }
    printf("# %llu sockets, %.1f MB checked, %llu datagrams back, %u sinks "
           "complete, %u rescues, farsockd's memory %ld kB, then %ld kB\n",
        (unsigned long long)soak->sockets, (double)soak->bytes / 1e6,
        (unsigned long long)soak->dgrams, soak->delivered, soak->rescues,
        before, after);
    if (soak->failed) {
        printf("# failed: %s\n", soak->error);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: soak FARSOCKD LINK SECONDS [SEED]\n");
        return 2;
    }
    double length = strtod(argv[3], NULL);
    seed = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 0) : 1;
    printf("# seed %u\n", seed);
    signal(SIGPIPE, SIG_IGN);
    start(argv);
    srandom(seed);
    // What is made with first use. Of one near core: what each would leave
    // behind shall not pass for that.
    start_nears(1);
    run(2, false);
    end_nears("first part");
    far_baseline(&far);
    // Doorbells may be lost; then they may not.
    soak->rescue = 1;
    start_nears(NEARS);
    run(length * 0.5, true);
    end_nears("unreliable links");
    soak->rescue = 0;
    start_nears(NEARS);
    run(length * 0.4, true);
    end_nears("reliable links");
    // The last farsockd's life: no fault, and flat.
    long before = resident_kb();
    start_nears(NEARS);
    run(length / 10, false);
    end_nears("last part");
    long after = resident_kb();
    summary(before, after);
    far_end(&far);
    return soak->failed ? 1 : 0;
}
