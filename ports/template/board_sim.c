// A board that is simulated on Linux, so that the template runs: the shared
// memory is a file, a thread plays the interrupt controller, and the cache is a
// copy of the memory that only CLEAN and INV move lines to and from. Not to be
// copied: a port to a chip has registers here.
//
// FARSOCK_BOARD=MEMORY,TO_FAR,TO_NEAR names three descriptors: a file, and two
// eventfds as doorbells. tests/port/run makes them.
// SPDX-License-Identifier: MIT
#include "ports/template/board.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  UINT64_C(1000000000)
#define TRUE_LINE 64u // of the hardware, whatever board.h says

static struct {
    uint64_t start_ns;
    int to_far, to_near;
    uint8_t *memory; // what the other core sees
    uint8_t *cached; // what this one sees
    size_t bytes;
    void (*handler)(void);
    pthread_mutex_t bus; // a line moves as one
} board = {.to_far = -1, .to_near = -1, .bus = PTHREAD_MUTEX_INITIALIZER};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint32_t count;
} events = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Noreturn void die(const char *why) {
    fprintf(stderr, "board: %s\n", why);
    exit(2);
}

// --- Clock ---

static uint64_t host_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

// The counter begins a tenth of a second before a counter of 32 bits would
// wrap, so that a port that keeps only those is found out.
uint64_t board_ticks(void) {
    uint64_t ns = host_ns() - board.start_ns;
    return UINT32_MAX - BOARD_HZ / 10u + ns / NS_PER_S * BOARD_HZ +
           ns % NS_PER_S * BOARD_HZ / NS_PER_S;
}

// --- Doorbells ---

void board_bell_ring(void) {
    uint64_t one = 1;
    ssize_t n = write(board.to_far, &one, sizeof one);
    (void)n;
}

void board_bell_ack(void) {
    uint64_t count;
    ssize_t n = read(board.to_near, &count, sizeof count);
    (void)n;
}

// The line stays raised, and interrupts again, until it is acknowledged.
static void *controller(void *arg) {
    struct pollfd p = {.fd = board.to_near, .events = POLLIN};
    (void)arg;
    for (;;) {
        if (poll(&p, 1, -1) > 0) {
            board.handler();
        }
    }
    return NULL;
}

static void power_on(void) {
    char *at = getenv("FARSOCK_BOARD");
    int fd[3] = {-1, -1, -1};
    struct stat st;
    for (int i = 0; at && i < 3; i++) {
        fd[i] = (int)strtol(at, &at, 10);
        at += *at == ',';
    }
    if (fstat(fd[0], &st) != 0) {
        die("FARSOCK_BOARD names no descriptors (tests/port/run does)");
    }
    board.start_ns = host_ns();
    board.to_far = fd[1];
    board.to_near = fd[2];
    board.bytes = (size_t)st.st_size;
    board.memory =
        mmap(NULL, board.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd[0], 0);
    board.cached = mmap(NULL, board.bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (board.memory == MAP_FAILED || board.cached == MAP_FAILED) {
        die("no memory");
    }
    // Of far's half the cache holds something old.
    memcpy(board.cached, board.memory, board.bytes / 2);
    memset(board.cached + board.bytes / 2, 0xa5, board.bytes / 2);
}

void board_bell_start(void (*handler)(void)) {
    pthread_t t;
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&events.moved, &a);
    power_on();
    board.handler = handler;
    if (pthread_create(&t, NULL, controller, NULL) != 0) {
        die("no thread");
    }
    pthread_detach(t);
}

// --- Sleeping ---

uint32_t board_events(void) {
    pthread_mutex_lock(&events.lock);
    uint32_t n = events.count;
    pthread_mutex_unlock(&events.lock);
    return n;
}

void board_event(void) {
    pthread_mutex_lock(&events.lock);
    events.count++;
    pthread_cond_broadcast(&events.moved);
    pthread_mutex_unlock(&events.lock);
}

void board_sleep(uint32_t seen, uint64_t ns) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    // A port's deadlines are rounded up to ticks, as hardware's are.
    uint64_t end = (uint64_t)t.tv_nsec + ns % NS_PER_S + NS_PER_S / BOARD_HZ;
    t.tv_sec += (time_t)(ns / NS_PER_S + end / NS_PER_S);
    t.tv_nsec = (long)(end % NS_PER_S);
    pthread_mutex_lock(&events.lock);
    int err = 0;
    while (events.count == seen && err == 0) {
        err = ns == UINT64_MAX
                  ? pthread_cond_wait(&events.moved, &events.lock)
                  : pthread_cond_timedwait(&events.moved, &events.lock, &t);
    }
    pthread_mutex_unlock(&events.lock);
}

// --- Memory ---

void *board_shared(uint64_t *bytes) {
    *bytes = board.bytes;
    return board.cached;
}

static void move_line(uint8_t *to, const uint8_t *from) {
    pthread_mutex_lock(&board.bus);
    for (size_t i = 0; i < TRUE_LINE; i += sizeof(uint64_t)) {
        uint64_t v =
            atomic_load((const _Atomic uint64_t *)(const void *)(from + i));
        atomic_store((_Atomic uint64_t *)(void *)(to + i), v);
    }
    pthread_mutex_unlock(&board.bus);
}

static size_t offset_of(uintptr_t at) {
    size_t off = (size_t)(at - (uintptr_t)board.cached);
    return off - off % TRUE_LINE;
}

void board_clean_line(uintptr_t at) {
    size_t off = offset_of(at);
    if (off < board.bytes) {
        move_line(board.memory + off, board.cached + off);
    }
}

void board_drop_line(uintptr_t at) {
    size_t off = offset_of(at);
    if (off < board.bytes) {
        move_line(board.cached + off, board.memory + off);
    }
}
