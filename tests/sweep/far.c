// A farsockd to be killed, and what it may hold when nobody uses it.
// SPDX-License-Identifier: MIT
#include "tests/sweep/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static void pause_ms(void) {
    struct timespec t = {.tv_nsec = 1000000};
    nanosleep(&t, NULL);
}

static int entries(const char *path) {
    DIR *d = opendir(path);
    int n = 0;
    while (d && readdir(d)) {
        n++;
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static int count(const struct far *f, const char *what) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)f->pid, what);
    return entries(path);
}

// Regions that are still mapped.
static int regions(const struct far *f) {
    char line[512];
    int n = 0;
    snprintf(line, sizeof line, "/proc/%d/maps", (int)f->pid);
    FILE *maps = fopen(line, "re");
    while (maps && fgets(line, sizeof line, maps)) {
        n += strstr(line, "memfd:farsock") != NULL;
    }
    if (maps) {
        fclose(maps);
    }
    return n;
}

// It says READY=1 on the descriptor: here, that it sleeps with its path there.
void far_start(struct far *f, const char *extra) {
    faulty->side[FAULTY_FAR].live = 0;
    unlink(f->path);
    f->pid = fork();
    if (f->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("FARSOCK_FAULTS_FAR", "1", 1);
        execl(f->program, "farsockd", "--link", f->path, "--log-level", "error",
            extra, NULL);
        _exit(127);
    }
    for (int i = 0; i < PATIENCE_MS && access(f->path, F_OK) != 0; i++) {
        pause_ms();
    }
}

void far_end(struct far *f) {
    if (f->pid > 0) {
        kill(f->pid, SIGKILL);
        waitpid(f->pid, NULL, 0);
    }
    f->pid = 0;
}

void far_baseline(struct far *f) {
    f->fds = count(f, "fd");
    f->threads = count(f, "task");
    f->live = faulty->side[FAULTY_FAR].live;
}

static const char *too_much(const struct far *f) {
    if (count(f, "fd") > f->fds) {
        return "farsockd leaks a descriptor";
    }
    if (count(f, "task") > f->threads) {
        return "farsockd leaks a thread";
    }
    if (regions(f) > 0) {
        return "farsockd leaks a region";
    }
    if (faulty->side[FAULTY_FAR].live > f->live) {
        return "farsockd leaks memory";
    }
    return received.open > 0 ? "a connection stays open" : NULL;
}

const char *far_leak(struct far *f) {
    const char *what = NULL;
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (kill(f->pid, 0) < 0 || waitpid(f->pid, NULL, WNOHANG) == f->pid) {
            f->pid = 0;
            return "farsockd is gone";
        }
        what = too_much(f);
        if (!what) {
            return NULL;
        }
        pause_ms();
    }
    return what;
}

// Lines of a file of /proc/net, but for those in TCP's state 0A (LISTEN) and
// with timer 03 (TIME_WAIT): of these nobody has a socket any more. Their state
// may be 05 (FIN_WAIT2) for a minute: a connection whose one end is closed
// while the other, not yet accepted, is reset with its listener sometimes loses
// that reset.
static unsigned sockets(const char *path) {
    char line[512];
    char state[3];
    char timer[3];
    unsigned n = 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        n += sscanf(line, " %*u: %*s %*s %2s %*s %2s", state, timer) == 2 &&
             strcmp(timer, "03") != 0 && strcmp(state, "0A") != 0;
    }
    if (f) {
        fclose(f);
    }
    return n;
}

// For people: what the kernel keeps, as it says it.
static void show_sockets(const char *path) {
    char line[512];
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        printf("# %s: %.80s\n", path, line);
    }
    if (f) {
        fclose(f);
    }
}

const char *far_sockets(unsigned udp) {
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        unsigned tcp = sockets("/proc/net/tcp") + sockets("/proc/net/tcp6");
        if (tcp == 0 &&
            sockets("/proc/net/udp") + sockets("/proc/net/udp6") <= udp) {
            return NULL;
        }
        for (int k = 0; k < 10; k++) {
            pause_ms();
        }
    }
    show_sockets("/proc/net/tcp");
    show_sockets("/proc/net/tcp6");
    show_sockets("/proc/net/udp");
    show_sockets("/proc/net/udp6");
    return "the kernel keeps a socket";
}
