// A link's memory, locks, birth and death.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

static size_t align_up(size_t n) {
    size_t a = _Alignof(max_align_t);
    return (n + a - 1u) / a * a;
}

static size_t tags_size(const struct far_layout *lay) {
    return align_up((lay->tags + 1u) * sizeof(struct fari_tag));
}

size_t far_link_size(const struct far_layout *lay) {
    return align_up(sizeof(struct far_link)) + tags_size(lay) +
           align_up(lay->sockets * sizeof(struct fari_sock));
}

void fari_lock(struct far_link *l, _Atomic uint32_t *word) {
    fari_lock_within(l, word);
}

void fari_unlock(struct far_link *l, _Atomic uint32_t *word) {
    fari_unlock_within(l, word);
}

void fari_lock_link(struct far_link *l) {
    fari_lock(l, &l->lock);
}

void fari_unlock_link(struct far_link *l) {
    fari_unlock(l, &l->lock);
}

uint64_t fari_now(struct far_link *l) {
    return l->port->now_ns(l->ctx);
}

uint64_t fari_deadline(struct far_link *l, uint32_t ms) {
    return fari_now(l) + (uint64_t)ms * 1000000u;
}

static void publish_counters(struct far_link *l) {
    struct far_near_ctl *ctl = (struct far_near_ctl *)(void *)l->region;
    far_store(&ctl->count.kicks, far_load(&l->count.kicks));
    far_store(&ctl->count.doorbells, far_load(&l->count.doorbells));
    far_store(&ctl->count.wakeups, far_load(&l->count.wakeups));
    far_store(&ctl->count.rescues, far_load(&l->count.rescues));
    far_store(&ctl->count.spurious, far_load(&l->count.spurious));
    FAR_CLEAN(FAR_AT_NEAR_COUNT, &ctl->count, sizeof ctl->count);
}

static struct far_counters load_counters(const struct far_counters *c) {
    return (struct far_counters){
        .kicks = far_load(&c->kicks),
        .doorbells = far_load(&c->doorbells),
        .wakeups = far_load(&c->wakeups),
        .rescues = far_load(&c->rescues),
        .spurious = far_load(&c->spurious),
    };
}

void far_link_counters(struct far_link *l, struct far_counters *near,
    struct far_counters *far) {
    const struct far_far_ctl *ctl =
        (const struct far_far_ctl *)(void *)fari_at_line(l, l->lay.far_at);
    FAR_INV(FAR_AT_COUNT_LOOK, &ctl->count, sizeof ctl->count);
    *near = load_counters(&l->count);
    *far = load_counters(&ctl->count);
}

// Rung without the lock; the other counters change under it.
void fari_bell(struct far_link *l) {
    atomic_fetch_add_explicit((_Atomic uint32_t *)(void *)&l->count.doorbells,
        1u, memory_order_relaxed);
    publish_counters(l);
    l->port->notify(l->ctx);
}

static void init_rings(struct far_link *l, const struct far_join *j,
    uint32_t features) {
    struct far_near_ctl *near = (struct far_near_ctl *)(void *)l->region;
    struct far_far_ctl *far =
        (struct far_far_ctl *)(void *)fari_at_line(l, l->lay.far_at);
    uint32_t base = l->lay.index_base;
    // Wake indexes start "behind": far's first look is not owed to a KICK.
    FAR_STEP();
    near->cmd = (struct far_msg_head){.head = base};
    FAR_STEP();
    near->evt = (struct far_msg_tail){.tail = base, .wake = base - 1u};
    near->count = (struct far_counters){0};
    far_msg_writer_init(&l->cmd, &near->cmd, &far->cmd,
        fari_at_line(l, l->lay.cmd_at), l->lay.cmd_bytes, base);
    far_msg_reader_init(&l->evt, &far->evt, &near->evt,
        fari_at_line(l, l->lay.evt_at), l->lay.evt_bytes, base);
    memset(fari_near_line(l, 0), 0, (size_t)l->lay.sockets * FAR_LINE);
    FAR_STEP();
    near->hdr = (struct far_part_header){
        .magic = FAR_WIRE_MAGIC,
        .version = FAR_WIRE_VERSION,
        .features = features,
        .epoch = j->epoch,
        .seen = j->far_epoch,
        .bell = j->bell,
    };
    FAR_CLEAN(FAR_AT_NEAR_INIT, l->region, (size_t)l->lay.cmd_at * FAR_LINE);
    FAR_SYNC(FAR_AT_NEAR_INIT_DONE);
    far_store(&near->hdr.ready, j->epoch);
    FAR_CLEAN(FAR_AT_NEAR_READY, &near->hdr, sizeof near->hdr);
    FAR_SYNC(FAR_AT_NEAR_READY_DONE);
}

static struct far_link *init(void *mem, const struct far_join *j, int *err) {
    struct far_link *l = mem;
    *err = far_layout_check(&j->layout, j->region_bytes);
    if (*err != FAR_OK) {
        return NULL;
    }
    memset(l, 0, far_link_size(&j->layout));
    l->region = j->region;
    l->lay = j->layout;
    l->port = j->port;
    l->ctx = j->ctx;
    uint8_t *after = (uint8_t *)mem + align_up(sizeof *l);
    l->tags = (struct fari_tag *)(void *)after;
    l->socks = (struct fari_sock *)(void *)(after + tags_size(&j->layout));
    const struct far_far_ctl *far =
        (const struct far_far_ctl *)(void *)fari_at_line(l, l->lay.far_at);
    FAR_INV(FAR_AT_NEAR_JOIN, far, sizeof *far);
    if (far_load(&far->hdr.magic) != FAR_WIRE_MAGIC) {
        *err = FAR_EBADMSG;
        return NULL;
    }
    if (far_load(&far->hdr.version) != FAR_WIRE_VERSION) {
        *err = FAR_ELINKPROTO;
        return NULL;
    }
    init_rings(l, j, far_load(&far->hdr.features));
    fari_slots_init(l);
    return l;
}

struct far_link *far_link_init(void *mem, void *region, uint64_t region_bytes,
    const struct far_layout *layout, const struct far_port *port, void *ctx,
    int *err) {
    struct far_join j = {
        .region = region,
        .region_bytes = region_bytes,
        .port = port,
        .ctx = ctx,
        .layout = *layout,
        .epoch = 1,
        .far_epoch = 1,
    };
    return init(mem, &j, err);
}

struct far_link *far_link_init_joined(void *mem, const struct far_join *j,
    int *err) {
    struct far_link *l = init(mem, j, err);
    if (l != NULL) {
        j->port->notify(j->ctx);
    }
    return l;
}

void far_link_down(struct far_link *l) {
    fari_lock_link(l);
    if (!fari_is_down(l)) {
        fari_break(l);
    }
    fari_unlock_link(l);
}

bool far_link_is_up(const struct far_link *l) {
    return !fari_is_down(l);
}

uint32_t far_link_sockets(struct far_link *l) {
    fari_lock_link(l);
    uint32_t n = 0;
    for (uint32_t i = 0; fari_is_down(l) && i < l->lay.sockets; i++) {
        n += fari_use(fari_sock(l, i)) == FARI_OPEN;
    }
    n = fari_is_down(l) ? n : l->open_count;
    fari_unlock_link(l);
    return n;
}

void far_link_interrupt(struct far_link *l) {
    atomic_fetch_add(&l->interrupts, 1u);
    l->port->wake(l->ctx);
}
