// The far side of a board: what a Linux core does with its hardware.
// SPDX-License-Identifier: MIT
//
//   port-far answer|serve MEMORY TO_FAR TO_NEAR
//   port-far ivshmem PATH
//
// answer: the questions of answer.h, on descriptors that the starter made.
// serve: farsockd's engine on them. ivshmem: the questions, of a near core that
// has an ivshmem device.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/fixed.h"
#include "farsock/mem.h"
#include "port/answer.h"
#include "port/far.h"

static struct far_board board;

static void ring(void) {
    uint64_t one = 1;
    ssize_t n = write(board.to_near, &one, sizeof one);
    (void)n;
}

// --- Questions ---

static struct answer_tell *tell(void) {
    return (void *)(board.mem + board.bytes / 2 + FAR_LINE);
}

static const struct answer_ask *ask(void) {
    return (const void *)(board.mem + FAR_LINE);
}

static void pause_us(uint32_t us) {
    struct timespec t = {us / 1000000u, (long)(us % 1000000u) * 1000};
    nanosleep(&t, NULL);
}

// What is rung comes after the answer, so that near can sleep until then.
static void answer(bool *echo) {
    struct answer_tell *t = tell();
    uint32_t seq = far_load(&ask()->seq);
    atomic_thread_fence(memory_order_acquire);
    uint32_t at = far_load(&ask()->at);
    uint32_t n = far_load(&ask()->n);
    uint32_t op = far_load(&ask()->op);
    bool inside = at <= ANSWER_BYTES && n <= ANSWER_BYTES - at;
    uint64_t ns = clock_ns();
    far_store(&t->ns_low, (uint32_t)ns);
    far_store(&t->ns_high, (uint32_t)(ns >> 32));
    if (op == ANSWER_READ && inside) {
        far_store(&t->value,
            answer_digest(ANSWER_DIGEST, board.mem + ANSWER_SCRATCH + at, n));
    } else if (op == ANSWER_WRITE && inside) {
        uint8_t *to = board.mem + board.bytes / 2 + ANSWER_SCRATCH + at;
        for (uint32_t i = 0; i < n; i++) {
            to[i] = answer_pattern(far_load(&ask()->seed), i);
        }
    } else if (op == ANSWER_ECHO) {
        *echo = n != 0;
    }
    atomic_thread_fence(memory_order_seq_cst);
    far_store(&t->seq, seq);
    if (op == ANSWER_RING) {
        pause_us(at);
        for (uint32_t i = 0; i < n; i++) {
            ring();
        }
    }
}

static void take_bells(bool echo) {
    uint64_t count = 0;
    if (read(board.to_far, &count, sizeof count) != sizeof count) {
        return;
    }
    struct answer_tell *t = tell();
    far_store(&t->rung, far_load(&t->rung) + (uint32_t)count);
    if (echo) {
        far_store(&t->echo, far_load(&ask()->word));
        atomic_thread_fence(memory_order_seq_cst);
        ring();
    }
}

static _Noreturn void answer_all(void) {
    struct far_part_header *head = (void *)(board.mem + board.bytes / 2);
    struct pollfd p = {.fd = board.to_far, .events = POLLIN};
    bool echo = false;
    far_store(&tell()->seq, far_load(&ask()->seq));
    far_store(&head->bell, board.bell);
    far_store(&head->epoch, 1); // so that near learns how to ring
    far_store(&head->magic, ANSWER_MAGIC);
    for (;;) {
        poll(&p, 1, 1);
        far_ivshmem_peers(&board);
        take_bells(echo);
        far_store(&tell()->beat, far_load(&tell()->beat) + 1u);
        if (far_load(&ask()->seq) != far_load(&tell()->seq)) {
            answer(&echo);
        }
    }
}

// --- A link: what farsockd does, and all that a new kind of --link needs ---

static int bell_to_near(void *arg, uint32_t bell) {
    (void)arg;
    (void)bell; // there is only one
    return board.to_near;
}

static int serve(void) {
    struct engine_config ec = {.resolver_threads = 1};
    struct engine *e = engine_new(&ec);
    struct fixed_spec spec = {
        .engine = e,
        .region = board.mem,
        .bytes = board.bytes,
        .sockets = 32,
        .tags = 8,
        .bell = 1,
        .bell_from_near = board.to_far,
        .name = "board",
        .bell_to_near = bell_to_near,
    };
    if (e == NULL || fixed_new(&spec) == NULL) {
        perror("port-far");
        return 1;
    }
    return engine_run(e) < 0;
}

static int number(const char *word) {
    return (int)strtol(word, NULL, 10);
}

int main(int argc, char **argv) {
    struct stat st;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    board.ivshmem = -1;
    if (argc == 3 && strcmp(argv[1], "ivshmem") == 0) {
        if (!far_ivshmem_board(&board, argv[2])) {
            return 1;
        }
        answer_all();
    }
    if (argc != 5 || fstat(number(argv[2]), &st) < 0) {
        fputs("usage: port-far answer|serve MEMORY TO_FAR TO_NEAR\n", stderr);
        return 2;
    }
    board.bytes = (size_t)st.st_size;
    board.to_far = number(argv[3]);
    board.to_near = number(argv[4]);
    board.mem = mmap(NULL, board.bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
        number(argv[2]), 0);
    if (board.mem == MAP_FAILED) {
        perror("port-far");
        return 1;
    }
    if (strcmp(argv[1], "answer") == 0) {
        answer_all();
    }
    return serve();
}
