// How fast a core's sockets are: round trips, bytes each way, doorbells.
// argv: anything, "wfi" or "busy", the peer's port, round trips, MiB each way.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ivshmem.h"
#include "virt.h"

#define WORDS   5
#define PIECE   32768u
#define MESSAGE 64u
#define MOST    20000u // round trips
#define MIB     (1u << 20)

static _Alignas(max_align_t) uint8_t link_memory[512 * 1024];
static uint8_t piece[PIECE];
static uint32_t took[MOST]; // ns

static struct {
    struct far_link *link;
    int sock;
    struct far_ivshmem_bells bells;
    uint64_t begun;
} run;

static void say(const char *what, uint64_t a, uint64_t b) {
    char text[80];
    int n = snprintf(text, sizeof text, "%s %lu %lu\n", what, (unsigned long)a,
        (unsigned long)b);
    virt_write(text, (size_t)n);
}

static int fail(const char *what, int err) {
    say(what, (uint64_t)-err, 0);
    return 1;
}

static void begin(void) {
    run.bells = far_ivshmem_bells;
    run.begun = virt_now_ns();
}

// Microseconds since begin(), and how often either side was rung.
static void told(const char *what) {
    say(what, (virt_now_ns() - run.begun) / 1000u, 0);
    say("bells", far_ivshmem_bells.rung - run.bells.rung,
        far_ivshmem_bells.taken - run.bells.taken);
}

static int send_all(const uint8_t *data, size_t n) {
    for (size_t at = 0; at < n;) {
        int sent = far_sendto(run.link, run.sock, data + at, n - at, 0, NULL,
            FAR_FOREVER);
        if (sent < 0) {
            return sent;
        }
        at += (size_t)sent;
    }
    return 0;
}

static int receive(uint8_t *data, size_t n) {
    int got = far_recvfrom(run.link, run.sock, data, n, FAR_MSG_WAITALL, NULL,
        NULL, FAR_FOREVER);
    return got < 0 ? got : got == (int)n ? 0 : FAR_ECONNRESET;
}

static int by_time(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int round_trips(uint32_t n) {
    begin();
    for (uint32_t i = 0; i < n; i++) {
        uint64_t start = virt_now_ns();
        int err = send_all(piece, MESSAGE);
        err = err < 0 ? err : receive(piece, MESSAGE);
        if (err < 0) {
            return err;
        }
        took[i] = (uint32_t)(virt_now_ns() - start);
    }
    told("trips");
    qsort(took, n, sizeof *took, by_time);
    say("quantiles", took[n / 2u], took[n - 1u - n / 100u]);
    return 0;
}

static int bulk(uint32_t mib) {
    int err = 0;
    begin();
    for (uint32_t i = 0; err >= 0 && i < mib * (MIB / PIECE); i++) {
        err = send_all(piece, PIECE);
    }
    err = err < 0 ? err : receive(piece, 1); // the peer has it all
    told("sent");
    begin();
    for (uint32_t i = 0; err >= 0 && i < mib * (MIB / PIECE); i++) {
        err = receive(piece, PIECE);
    }
    told("received");
    return err;
}

// The words of argv as numbers: of the second only whether it is "busy".
static bool take_words(unsigned long *out) {
    struct virt_file f;
    static char text[256];
    if (!virt_find("argv", &f) || f.len >= sizeof text) {
        return false;
    }
    memcpy(text, f.data, f.len);
    char *word = text;
    for (int i = 0; i < WORDS; i++) {
        out[i] = i == 1 ? *word == 'b' : strtoul(word, NULL, 10);
        word = strchr(word, '\n');
        if (word++ == NULL) {
            return false;
        }
    }
    return true;
}

int main(void) {
    unsigned long word[WORDS];
    if (!take_words(word) || word[3] - 1u >= MOST) {
        return fail("argv", 0);
    }
    int err = far_ivshmem_up(link_memory, sizeof link_memory,
        virt_now_ns() + 10000000000u, &run.link);
    if (err != FAR_OK) {
        return fail("no farsockd", err);
    }
    virt_busy = word[1] != 0;
    struct far_addr to = {
        .family = FAR_AF_INET, .port = (uint16_t)word[2], .ip = {127, 0, 0, 1}};
    run.sock = far_socket(run.link, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    err = far_connect(run.link, run.sock, &to, FAR_FOREVER);
    err = err < 0 ? err : round_trips((uint32_t)word[3]);
    err = err < 0 ? err : bulk((uint32_t)word[4]);
    return err < 0 ? fail("error", err) : 0;
}
