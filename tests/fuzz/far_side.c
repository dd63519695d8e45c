// A far side for the near library in this process.
// SPDX-License-Identifier: MIT
#include "fuzz/far_side.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fuzz/far_player.h"
#include "fuzz/watch.h"
#include "near/near.h"
#include "ring/ring.h"

#define SLEEPS_MAX 2000u // of one call after its deadline
#define DEPTH_MAX  3u    // calls beside the first one

static struct far_player *const f = &far_side;

void far_side_fail(const char *what) {
    fprintf(stderr, "near library: %s\n", what);
    abort();
}

// A socket's verdict epoch is as old as the last look at its line; the count of
// its marks is looked at again, for how many of them are still there.
static bool may_be_old(size_t at) {
    size_t lines = far_line_at(0);
    size_t word = (at - lines) % FAR_LINE;
    return at >= lines && at < lines + FAR_SIDE_SOCKETS * FAR_LINE &&
           (word == offsetof(struct far_far_line, verdict) ||
               word == offsetof(struct far_far_line, urg));
}

// Every socket() looks for a promise: that there is none changes nothing.
static bool is_no_promise(size_t at) {
    size_t from = offsetof(struct far_far_ctl, promise);
    uint32_t number = 0;
    watch_peek(&number, f->region + far_start() + from, sizeof number);
    return at >= from && at < from + 4u * sizeof number && !number;
}

static void changed(const void *p, size_t n) {
    size_t at = (size_t)((const uint8_t *)p - f->region) - far_start();
    if (is_no_promise(at)) {
        return;
    }
    uint8_t how = take8(&f->changes);
    if (how & 0x80) {
        far_poke32(at + (n > 4 ? (how & 0x1cu) : 0), take_number(&f->changes));
    } else if (how & 0x40) {
        far_poke32(take16(&f->changes), take32(&f->changes));
    }
}

// --- The port ---

uint64_t far_side_now(void) {
    f->now += 1000u;
    return f->now;
}

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return far_side_now();
}

static void notify(void *ctx) {
    (void)ctx;
    far_step();
}

static void too_long(void) {
    if (f->now > f->deadline && f->sleeps++ > SLEEPS_MAX) {
        far_side_fail("a call does not end at its deadline");
    }
}

// While one sleeps, another call may be made, and sleep beside it: as far as
// the library can tell, by another thread. The first goes on when it is over.
static void another_call(uint64_t deadline_ns) {
    if (f->depth >= DEPTH_MAX || f->in->left < 4u || !f->port.park ||
        take8(f->in) % 8u != 0) {
        return;
    }
    uint64_t deadline = f->deadline;
    uint32_t sleeps = f->sleeps;
    bool others = f->others;
    f->others = false;
    f->depth++;
    watch_anew();
    far_side_beside();
    watch_anew();
    f->depth--;
    f->deadline = deadline;
    f->others = others;
    // What took its time was the other one.
    f->sleeps = f->now > deadline_ns ? 0 : sleeps;
}

void far_side_sleep(uint64_t deadline_ns) {
    too_long();
    f->now += 100000u;
    far_step();
    another_call(deadline_ns);
}

static int sleep_near(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    too_long();
    if (deadline_ns <= f->now) { // only a look
        far_step();
        return f->in->left & 1u ? FAR_OK : FAR_ETIMEDOUT;
    }
    if (f->in->left == 0) {
        return FAR_ELINKDOWN;
    }
    f->now += 100000u;
    far_step();
    another_call(deadline_ns);
    return f->now < deadline_ns ? FAR_OK : FAR_ETIMEDOUT;
}

void far_side_hold(_Atomic uint32_t *word) {
    uint32_t free = 0;
    if (f->port.park && !f->taken &&
        atomic_compare_exchange_strong(word, &free, 1u)) {
        f->taken = word;
    }
}

static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    (void)ctx;
    if (word == f->taken) {
        f->taken = NULL;
        atomic_store(word, 0u);
        return;
    }
    too_long();
    f->now += 100000u;
    if (f->in->left == 0) {
        // What waits for nothing at all ends by a signal only.
        f->interrupts += far_link_is_up(f->link) ? 0 : 4u;
        far_link_down(f->link);
    }
    far_step();
    if (atomic_load(word) == value && deadline_ns > f->now) {
        another_call(deadline_ns);
        far_link_take(f->link); // as a thread does that polls
    }
}

static void unpark(void *ctx, _Atomic uint32_t *word) {
    (void)ctx;
    (void)word;
}

static void wake(void *ctx) {
    (void)ctx;
}

static bool interrupted(void *ctx) {
    (void)ctx;
    f->interrupts -= f->interrupts > 0;
    return f->interrupts > 0;
}

static void moved(void *ctx) {
    (void)ctx;
}

static void told(void *ctx, uint32_t slot) {
    (void)ctx;
    if (slot >= FAR_SIDE_SOCKETS) {
        far_side_fail("it was told of a socket that cannot be");
    }
}

// As if a handler waited for the end of each hold.
static struct far_held now_held = {.late = 1};

static struct far_held *held(void) {
    return &now_held;
}

static void let_go(void) {
    if (now_held.depth != 0) {
        far_side_fail("something is held when all is let go");
    }
    if (f->others) { // now as well as later
        another_call(FAR_FOREVER);
    }
}

// The caller's memory is not always there.
static bool copy(void *ctx, void *to, const void *from, uint32_t n) {
    (void)ctx;
    if (f->in->left % 16u == 5u) {
        return false;
    }
    if (n) {
        memcpy(to, from, n);
    }
    return true;
}

// Which hooks a port has is its own affair.
static struct far_port port_of(uint8_t how) {
    return (struct far_port){
        .now_ns = now_ns,
        .notify = notify,
        .wait = sleep_near,
        .wake = wake,
        .interrupted = (how & 0x06) == 0x06 ? NULL : interrupted,
        .park = how & 0x04 ? NULL : park,
        .unpark = how & 0x04 ? NULL : unpark,
        .moved = how & 0x08 ? moved : NULL,
        .told = how & 0x08 ? told : NULL,
        .held = how & 0x08 ? held : NULL,
        .let_go = how & 0x08 ? let_go : NULL,
        .copy = how & 0x10 ? copy : NULL,
        .rescue_ms = how & 0x20 ? 1u : 0,
        .busy_poll_us = how & 0x80 ? 5u : 0,
    };
}

void far_side_call(uint64_t deadline_ns) {
    f->deadline = deadline_ns ? deadline_ns : f->now;
    f->sleeps = 0;
    watch_anew();
}

// --- A link ---

static void map(uint32_t base) {
    far_layout_make(&f->lay, FAR_SIDE_SOCKETS, FAR_SIDE_TAGS, FAR_SIDE_RING,
        FAR_SIDE_RING, base);
    f->bytes = (size_t)far_layout_bytes(&f->lay);
    if (!f->region) {
        f->region = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    } else {
        memset(f->region, 0, f->bytes);
    }
}

struct far_link *far_side_begin(struct input *in, struct input changes,
    uint8_t how) {
    int err = 0;
    uint8_t *region = f->region;
    *f = (struct far_player){.region = region, .port = port_of(how)};
    map(how & 0x01 ? 0xffffff00u : 0);
    f->in = in;
    f->changes = changes;
    f->now = 1000000000u;
    f->evt_head = f->cmd_tail = f->lay.index_base;
    far_side_call(FAR_FOREVER);
    struct far_far_ctl *far = (void *)(f->region + far_start());
    far->hdr.magic = how == 0xfe ? 0 : FAR_WIRE_MAGIC;
    far->hdr.version = how == 0xfd ? 0 : FAR_WIRE_VERSION;
    far->hdr.features = how & 0x20 ? FAR_FEATURE_RESCUE : 0;
    far->layout = f->lay;
    far->evt.head = far->cmd.tail = far->cmd.wake = f->lay.index_base;
    watch_begin(f->region + far_start(), f->bytes - far_start(),
        (size_t)(f->lay.rx_at - f->lay.far_at) * FAR_LINE, changed);
    watch_spared = may_be_old;
    f->memory = malloc(far_link_size(&f->lay));
    struct far_layout lay = f->lay;
    lay.lines -= how == 0xfc;
    f->link = far_link_init(f->memory, f->region, f->bytes, &lay, &f->port,
        NULL, &err);
    if (f->link && how != 0xfb) {
        // This far side's streams are connected also if nobody asked for it.
        fari_has_streams(f->link);
    }
    f->others = how & 0x40;
    return f->link;
}

void far_side_end(void) {
    watch_end();
    free(f->memory);
}
