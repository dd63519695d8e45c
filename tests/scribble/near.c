// The near library against a far side that writes anything anywhere in the
// memory that they share, while several threads make calls of all kinds; beside
// it an honest link of the same process, of which no byte may be wrong.
// SPDX-License-Identifier: MIT
//
// usage: near SECONDS SEED [PORT], with PORT an echo at the honest link's far
// side. The far side plays as the fuzzers' one does (tests/fuzz/far_serve.c),
// by chance, in a thread of its own; a second one scribbles.
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "farsock/posix.h"
#include "farsock/proto.h"
#include "fuzz/far_player.h"

#define CALLERS 4u
#define LATE_NS 20000000000ull // after a link's end, until its calls are over
#define LIFE_NS 300000000ull   // of a link, at most
#define PIECE   4000u          // bytes of an echo, at most

static struct far_player *const f = &far_side;
static int bell;          // near's
static _Atomic bool over; // of a life: for far's threads, then for near's
static _Atomic bool far_over;
static _Atomic uint32_t calling;
static _Atomic uint64_t calls, lives, echoed, words;
static uint64_t seed;
static _Thread_local uint64_t rng = 1;

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return far_posix_now();
}

static uint32_t any(void) {
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 16);
}

static void fill(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)any();
    }
}

static void nap(uint32_t us) {
    struct timespec t = {.tv_nsec = (long)us * 1000};
    nanosleep(&t, NULL);
}

static void fail(const char *what) {
    fprintf(stderr, "scribble: %s (seed %llu, life %llu)\n", what,
        (unsigned long long)seed, (unsigned long long)lives);
    abort();
}

// --- The port of a hostile link ---

static void ring(void *ctx) {
    uint64_t one = 1;
    (void)ctx;
    if (write(bell, &one, sizeof one) < 0 && errno != EAGAIN) {
        fail("no bell");
    }
}

static void notify(void *ctx) {
    (void)ctx;
}

static struct timespec until(uint64_t deadline_ns) {
    uint64_t now = far_posix_now();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    // A wake-up that is lost shows: nobody wakes by himself before that.
    left = left < 3u * LATE_NS ? left : 3u * LATE_NS;
    return (struct timespec){
        (time_t)(left / 1000000000u), (long)(left % 1000000000u)};
}

static int sleep_near(void *ctx, uint64_t deadline_ns) {
    struct pollfd p = {.fd = bell, .events = POLLIN};
    struct timespec t = until(deadline_ns);
    uint64_t count;
    (void)ctx;
    if (ppoll(&p, 1, &t, NULL) > 0) {
        if (read(bell, &count, sizeof count) > 0) {
            return FAR_OK;
        }
    }
    return far_posix_now() < deadline_ns ? FAR_OK : FAR_ETIMEDOUT;
}

static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    struct timespec t = until(deadline_ns);
    (void)ctx;
    syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

static void unpark(void *ctx, _Atomic uint32_t *word) {
    (void)ctx;
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static bool interrupted(void *ctx) {
    (void)ctx;
    return any() % 64u == 0;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = sleep_near,
    .wake = ring,
    .park = park,
    .unpark = unpark,
    .interrupted = interrupted,
};

// --- What the fuzzers' calls ask of their far side ---

struct far_link *far_side_begin(struct input *in, struct input changes,
    uint8_t how) {
    (void)in;
    (void)changes;
    (void)how;
    return f->link;
}

void far_side_end(void) {
}

uint64_t far_side_now(void) {
    return far_posix_now();
}

void far_side_hold(_Atomic uint32_t *word) {
    (void)word; // there are threads enough
}

void far_side_call(uint64_t deadline_ns) {
    (void)deadline_ns;
    calls++;
}

void far_side_fail(const char *what) {
    fail(what);
}

// Not at near's bell, which is the leader's: a look for no reason.
void far_side_sleep(uint64_t deadline_ns) {
    (void)deadline_ns;
    nap(any() % 1000u);
}

// --- The threads of a hostile link ---

static void *caller(void *arg) {
    uint8_t steps[400];
    rng = seed * 31u + lives * 7u + (uintptr_t)arg + 1u;
    while (!over) {
        fill(steps, sizeof steps);
        // No part of it is changes, and the first calls make sockets, of which
        // most of the others receive.
        const uint8_t first[] = {0, 0, 0x00, 1, 0x40, 0, 0x80, 1};
        memcpy(steps, first, sizeof first);
        for (size_t i = sizeof first; i < sizeof steps; i++) {
            steps[i] = any() & 3u ? steps[i] : (uint8_t)(5u + (any() << 6));
        }
        LLVMFuzzerTestOneInput(steps, 100u + any() % 300u);
    }
    calling--;
    return NULL;
}

// Most of what breaks rules, by far_step()'s numbers, gives way to an answer.
static uint8_t by_the_rules(uint8_t step) {
    static const bool breaks[20] = {
        [0] = true, true, true, true, true, true, [7] = true};
    uint8_t op = step % 20u;
    return breaks[op] && any() % 32u ? (uint8_t)(step - op + 15u) : step;
}

// Some lives are long, others are wild.
static void *player(void *arg) {
    uint8_t steps[256];
    (void)arg;
    rng = seed * 31u + lives * 7u + 101u;
    bool well = any() % 4u != 0;
    while (!far_over) {
        fill(steps, sizeof steps);
        for (size_t i = 0; well && i < sizeof steps; i++) {
            steps[i] = by_the_rules(steps[i]);
        }
        struct input in = {steps, sizeof steps};
        f->in = &in;
        while (in.left > 0 && !far_over) {
            far_step();
            ring(NULL);
            nap(any() % 64u);
        }
    }
    return NULL;
}

// Where near looks most: lines and messages, the next record of a socket.
static size_t looked_at(void) {
    uint32_t slot = any() % FAR_SIDE_SOCKETS;
    uint32_t tail =
        far_near_word(slot, offsetof(struct far_near_line, rx_tail));
    if (any() & 1u) {
        return far_start() + any() % 2048u;
    }
    return (size_t)f->lay.rx_at * FAR_LINE + slot * FAR_SIDE_RING +
           (tail + any() % 16u) % FAR_SIDE_RING;
}

static uint32_t some_number(void) {
    switch (any() % 4u) {
        case 0:
            return any();
        case 1:
            return any() % 64u;
        case 2:
            return any() & 0x0fff0fffu; // two small ones
        default:
            return 1u << any() % 32u;
    }
}

static void write_one(bool everywhere) {
    size_t from = everywhere ? 0 : far_start();
    size_t at = any() % 4u ? looked_at() : from + any() % (f->bytes - from);
    uint32_t *word = (uint32_t *)(void *)(f->region + at / 4u * 4u);
    atomic_store_explicit((_Atomic uint32_t *)(void *)word, some_number(),
        memory_order_relaxed);
    words++;
}

static void *scribbler(void *arg) {
    (void)arg;
    rng = seed * 31u + lives * 7u + 202u;
    uint32_t rest_us = 1u << any() % 10u;
    bool everywhere = any() & 1u;
    nap(any() % 20000u);
    while (!far_over) {
        for (uint32_t n = 1u + any() % 32u; n > 0; n--) {
            write_one(everywhere);
        }
        nap(any() % rest_us);
    }
    return NULL;
}

// --- Lives ---

static void begin_life(void) {
    int err = 0;
    uint32_t base = any() & 1u ? 0xffffff00u : 0;
    *f = (struct far_player){.wild = true, .port = port};
    f->port.rescue_ms = any() & 1u ? 5 : 0;
    far_layout_make(&f->lay, FAR_SIDE_SOCKETS, FAR_SIDE_TAGS, FAR_SIDE_RING,
        FAR_SIDE_RING, base);
    f->bytes = (size_t)far_layout_bytes(&f->lay);
    f->region = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    f->evt_head = f->cmd_tail = f->lay.index_base;
    struct far_far_ctl *far = (void *)(f->region + far_start());
    far->hdr.magic = FAR_WIRE_MAGIC;
    far->hdr.version = FAR_WIRE_VERSION;
    far->hdr.features = f->port.rescue_ms ? FAR_FEATURE_RESCUE : 0;
    far->layout = f->lay;
    far->evt.head = far->cmd.tail = far->cmd.wake = f->lay.index_base;
    f->memory = malloc(far_link_size(&f->lay));
    f->link = far_link_init(f->memory, f->region, f->bytes, &f->lay, &f->port,
        NULL, &err);
    if (!f->link) {
        fail("no link");
    }
    over = far_over = false;
    calling = CALLERS;
}

static void end_life(const pthread_t *threads) {
    // Nothing rings any more: who sleeps is woken by this, or by nothing.
    far_over = true;
    pthread_join(threads[CALLERS], NULL);
    pthread_join(threads[CALLERS + 1u], NULL);
    over = true;
    far_link_down(f->link);
    uint64_t late = far_posix_now() + LATE_NS;
    while (calling > 0) {
        if (far_posix_now() > late) {
            fail("a call does not end with its link");
        }
        nap(1000);
    }
    for (uint32_t i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
    }
    free(f->memory);
    munmap(f->region, f->bytes);
}

static void one_life(void) {
    pthread_t threads[CALLERS + 2u];
    begin_life();
    for (uintptr_t i = 0; i < CALLERS; i++) {
        pthread_create(&threads[i], NULL, caller, (void *)i);
    }
    pthread_create(&threads[CALLERS], NULL, player, NULL);
    pthread_create(&threads[CALLERS + 1u], NULL, scribbler, NULL);
    uint64_t end = far_posix_now() + LIFE_NS;
    while (far_posix_now() < end && far_link_is_up(f->link)) {
        nap(1000);
    }
    end_life(threads);
    lives++;
}

// --- The honest link ---

static _Atomic bool enough;

static uint8_t byte_at(uint64_t i) {
    return (uint8_t)(i * 7u + (i >> 8) * 13u + (i >> 16));
}

static void echo(struct far_link *l, int sock, uint32_t n) {
    uint8_t out[PIECE];
    uint8_t in[PIECE];
    for (uint32_t i = 0; i < n; i++) {
        out[i] = byte_at(echoed + i);
    }
    uint64_t late = far_posix_now() + LATE_NS;
    if (far_sendto(l, sock, out, n, 0, NULL, late) != (int32_t)n) {
        fail("the honest link: not all was sent");
    }
    if (far_recvfrom(l, sock, in, n, FAR_MSG_WAITALL, NULL, NULL, late) !=
        (int32_t)n) {
        fail("the honest link: not all came back");
    }
    if (memcmp(in, out, n) != 0) {
        fail("the honest link: a byte is wrong");
    }
    echoed += n;
}

static void *honest(void *arg) {
    struct far_posix *p = NULL;
    struct far_posix_options o = {.wait_s = 10};
    rng = seed + 303u;
    if (far_posix_open(&p, &o) != FAR_OK) {
        fail("no honest link");
    }
    struct far_link *l = far_posix_link(p);
    struct far_addr to = {.family = FAR_AF_INET,
        .port = (uint16_t)(uintptr_t)arg,
        .ip = {127, 0, 0, 1}};
    int sock = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    if (sock < 0 || far_connect(l, sock, &to, FAR_FOREVER) != FAR_OK) {
        fail("the honest link: no connection");
    }
    while (!enough) {
        echo(l, sock, 1u + any() % PIECE);
    }
    far_close(l, sock, FAR_FOREVER);
    far_posix_close(p);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    pthread_t beside;
    seed = strtoull(argv[2], NULL, 0);
    rng = seed * 2654435761u + 1u;
    bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t end = far_posix_now() + strtoull(argv[1], NULL, 0) * 1000000000u;
    if (argc > 3) {
        pthread_create(&beside, NULL, honest,
            (void *)strtoul(argv[3], NULL, 0));
    }
    while (far_posix_now() < end) {
        one_life();
    }
    enough = true;
    if (argc > 3) {
        pthread_join(beside, NULL);
    }
    printf("lives %llu calls %llu words %llu echoed %llu\n",
        (unsigned long long)lives, (unsigned long long)calls,
        (unsigned long long)words, (unsigned long long)echoed);
    return 0;
}
