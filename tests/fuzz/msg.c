// Message rings whose memory and indexes are the input's, both directions.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/input.h"
#include "fuzz/watch.h"
#include "ring/ring.h"

#define SIZE 1024u

static struct input in;
static struct {
    struct far_msg_head head;
    struct far_msg_tail tail;
    uint8_t data[SIZE];
} theirs;

static void changed(const void *p, size_t n) {
    uint8_t how = take8(&in);
    size_t at = (size_t)((const uint8_t *)p - (const uint8_t *)&theirs);
    uint32_t v = take_number(&in);
    if (how & 0x80) {
        at = (at + (n > 4 ? (how & 0x1cu) : 0)) % (sizeof theirs - 4u);
        watch_poke((uint8_t *)&theirs + at, &v, sizeof v);
    }
}

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "message ring: %s\n", what);
        abort();
    }
}

static void read_all(uint32_t base) {
    struct far_msg_tail mine = {0};
    struct far_msg_reader r;
    struct far_msg m;
    uint8_t *buf = malloc(FAR_RECORD_MAX);
    far_msg_reader_init(&r, &theirs.head, &mine, theirs.data, SIZE, base);
    for (int i = 0; i < 200; i++) {
        int some = far_msg_get(&r, &m, buf);
        check(some <= 0 || far_msg_check(&m) == FAR_OK, "a bad message");
        check(some <= 0 || m.len <= FAR_RECORD_MAX - sizeof m, "a long one");
        if (some <= 0 && !in.left) {
            break;
        }
        far_msg_may_sleep(&r);
    }
    free(buf);
}

static void write_some(uint32_t base) {
    struct far_msg_head mine = {0};
    static uint8_t data[SIZE];
    struct far_msg_writer w;
    uint8_t payload[FAR_RECORD_MAX] = {0};
    far_msg_writer_init(&w, &mine, &theirs.tail, data, SIZE, base);
    for (int i = 0; i < 100 && in.left; i++) {
        uint32_t len = take16(&in) % sizeof payload;
        far_msg_put(&w, (struct far_msg){.op = FAR_OP_REPLY}, payload, len / 2u,
            payload, len - len / 2u);
        check(w.head - w.tail <= SIZE, "more in the ring than it holds");
        far_msg_publish(&w);
        far_msg_pending(&w, w.head - take_number(&in));
    }
}

// A header that no ring has looked at.
static void look_at(void) {
    struct far_msg m;
    take(&in, &m, sizeof m);
    check(far_msg_check(&m) != FAR_OK || m.op == FAR_OP_PAD ||
              m.len <= FAR_RECORD_MAX - sizeof m,
        "a header of one that is too long");
    check(far_op_name(m.op)[0], "no name");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    in = (struct input){data, size};
    uint8_t how = take8(&in);
    if (how == 0x5a) {
        look_at();
        return 0;
    }
    uint32_t base = how & 1 ? 0xffffff00u : 0;
    theirs.head.head = base + take_number(&in) * 8u;
    theirs.tail.tail = base + take_number(&in);
    theirs.tail.wake = take32(&in);
    take(&in, theirs.data, take16(&in) % (SIZE + 1u));
    watch_begin(&theirs, sizeof theirs, sizeof theirs, changed);
    if (how & 2) {
        write_some(base);
    } else {
        read_all(base);
    }
    watch_end();
    return 0;
}
