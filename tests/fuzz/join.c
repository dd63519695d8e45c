// Memory that stays, of which the far half is anything at any time, as near
// links up on it.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "farsock/farsock.h"
#include "farsock/wire.h"
#include "fuzz/input.h"
#include "fuzz/watch.h"

#define BYTES (1u << 18)
#define HALF  (BYTES / 2u)
#define STEPS 64

static uint8_t *region;
static struct input in;
static uint32_t rung;

static void check(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "join: %s\n", what);
        abort();
    }
}

static struct far_far_ctl *far_ctl(void) {
    return (void *)(region + HALF);
}

static void poke(size_t at, uint32_t v) {
    watch_poke(region + HALF + at % sizeof(struct far_far_ctl) / 4u * 4u, &v,
        sizeof v);
}

// Any word, that just read among them. Epochs are looked at twice on purpose.
static void changed(const void *p, size_t n) {
    uint8_t how = take8(&in);
    size_t at = (size_t)((const uint8_t *)p - region) - HALF;
    (void)n;
    if (how & 0x80) {
        poke(how & 0x40 ? at : take8(&in) * 4u, take_number(&in));
    }
    watch_anew();
}

// What a far side would write that keeps the rules, or nearly so.
static void write_far(const struct far_join *j, uint8_t how) {
    struct far_far_ctl ctl = {
        .hdr = {FAR_WIRE_MAGIC, FAR_WIRE_VERSION, 0, 1u + (how & 1u), j->epoch,
            1u + (how & 1u), 7, 0, 0, {0}},
    };
    uint32_t sockets = 1u + take8(&in) % 16u;
    uint32_t tags = 1u + take8(&in) % 8u;
    uint32_t base = how & 2 ? 0xffffff00u : 0;
    if (how & 8) { // good, but for another memory
        far_layout_make(&ctl.layout, sockets, tags, 1024, 1024, base);
    } else {
        far_layout_fit(&ctl.layout, BYTES, sockets, tags, base);
    }
    ctl.evt.head = ctl.cmd.tail = ctl.cmd.wake = ctl.layout.index_base;
    if (how & 4) { // all but a word
        uint32_t v = take32(&in);
        memcpy((uint8_t *)&ctl + take8(&in) % 32u * 4u, &v, sizeof v);
    }
    watch_poke(far_ctl(), &ctl, sizeof ctl);
}

// --- The port ---

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return 1000;
}

static void notify(void *ctx) {
    (void)ctx;
    rung++;
}

static int wait_none(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    (void)deadline_ns;
    return FAR_ELINKDOWN;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait_none,
    .wake = notify,
};

// A link that came up does what it can, and lies within the memory.
static void use(const struct far_join *j) {
    int err = 0;
    void *mem = malloc(far_link_size(&j->layout)); // just as much, for ASan
    struct far_link *l = far_link_init_joined(mem, j, &err);
    check(l || err < 0, "neither a link nor why not");
    if (l) {
        int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
        check(s < 0, "a socket that nobody made");
        far_link_down(l);
    }
    free(mem);
}

static void step(struct far_join *j) {
    uint8_t how = take8(&in);
    if (how < 0x20) {
        poke(take8(&in) * 4u, take_number(&in));
    } else if (how < 0x40) {
        write_far(j, how);
    } else if (how < 0x50) {
        far_join_begin(j);
    }
    watch_anew();
    uint32_t before = rung;
    int err = far_join_step(j);
    check(err == FAR_OK || err == FAR_EAGAIN || err == FAR_EBADMSG ||
              err == FAR_ELINKPROTO,
        "a step's result");
    if (err == FAR_OK) {
        check(rung > before, "a step that does not ring");
        check(j->layout.far_at == HALF / FAR_LINE, "a half that is not far's");
        check(far_layout_check(&j->layout, BYTES) == FAR_OK, "a bad layout");
        watch_anew();
        use(j);
    }
    watch_anew();
    far_join_holds(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct far_join j = {
        .region_bytes = BYTES,
        .bell = 5,
        .port = &port,
    };
    in = (struct input){data, size};
    if (!region) {
        region = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    j.region = region;
    memset(region, 0, sizeof(struct far_near_ctl));
    memset(region + HALF, 0, sizeof(struct far_far_ctl));
    // The epoch of near's last life, which may be the last of all.
    uint32_t last = take8(&in) & 1 ? UINT32_MAX : take32(&in);
    memcpy(region + offsetof(struct far_part_header, epoch), &last,
        sizeof last);
    watch_begin(region + HALF, sizeof(struct far_far_ctl),
        sizeof(struct far_far_ctl), changed);
    far_join_begin(&j);
    check(j.epoch != 0, "an epoch of nobody");
    for (int i = 0; i < STEPS && in.left; i++) {
        step(&j);
    }
    watch_end();
    return 0;
}
