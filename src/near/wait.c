// Sleeping: one waiter leads, the others park.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// The leader sleeps at the doorbell without any lock, takes the messages that
// came, and has those look again whom they concern. Who leaves while leading
// wakes a successor. A link without threads always leads itself.

// How long somebody sleeps who found no free waiter (more than FARI_WAITERS
// threads sleep on this link), or could not lead with a wait of its own.
#define FARI_BLIND_MS 10u

// How long somebody sleeps who is interrupted and waits all the same.
#define FARI_PAUSE_MS 1u

static void wake_one(struct far_link *l, uint32_t i) {
    struct fari_waiter *w = &l->waiters[i];
    atomic_store(&w->word, 1u);
    if (l->leader == i + 1u) {
        // One that is about to look at its word needs no doorbell.
        if (l->leader_sleeps) {
            l->port->wake(l->ctx);
        }
    } else if (w->beside) {
        w->beside->wake(w->beside->arg);
    } else if (l->port->unpark) {
        l->port->unpark(l->ctx, &w->word);
    }
}

void fari_wake(struct far_link *l, enum fari_wait_kind kind, uint32_t id) {
    if (kind == FARI_WAIT_NONE) {
        if (l->waiters[id].kind != FARI_WAIT_NONE) {
            wake_one(l, id);
        }
        return;
    }
    for (uint32_t i = 0; i < l->waiters_top; i++) {
        struct fari_waiter *w = &l->waiters[i];
        if ((w->kind == kind && w->id == id) ||
            (kind == FARI_WAIT_SOCK && w->kind == FARI_WAIT_ANY)) {
            wake_one(l, i);
        }
    }
}

void fari_changed(struct far_link *l, uint32_t slot) {
    if (l->port->told) {
        // Before it counts: who has not seen it will not sleep.
        l->port->told(l->ctx, slot);
    }
    atomic_fetch_add(&l->events, 1u);
    fari_wake(l, FARI_WAIT_SOCK, slot);
}

static void wake_all(struct far_link *l) {
    for (uint32_t i = 0; i < l->waiters_top; i++) {
        fari_wake(l, FARI_WAIT_NONE, i);
    }
}

void fari_break(struct far_link *l) {
    atomic_store(&l->down, 1u);
    fari_answer_all(l);
    wake_all(l);
}

// Under the link's lock: takes what is in the evt ring, no more than it holds,
// since far may go on writing. True if anything was.
static bool drain(struct far_link *l) {
    struct far_msg m;
    uint64_t buf[FAR_RECORD_MAX / sizeof(uint64_t)];
    uint32_t most = l->lay.evt_bytes / (uint32_t)sizeof m;
    bool some = false;
    int got = 0;
    while (!fari_is_down(l) && most-- > 0 &&
           (got = far_msg_get(&l->evt, &m, buf)) > 0) {
        some = true;
        if (m.op == FAR_OP_KICKED && m.sock < l->lay.sockets) {
            fari_slot_kicked(l, m.sock);
        } else if (m.op == FAR_OP_REPLY) {
            fari_answer(l, &m, buf);
        } else {
            got = FAR_EBADMSG;
            break;
        }
    }
    if (got < 0) {
        fari_break(l);
    }
    return some;
}

uint32_t fari_wait_begin(struct far_link *l, enum fari_wait_kind kind,
    uint32_t id) {
    uint32_t found = FARI_WAITERS;
    fari_lock_link(l);
    for (uint32_t i = 0; i < FARI_WAITERS; i++) {
        if (l->waiters[i].kind == FARI_WAIT_NONE) {
            l->waiters[i].kind = (uint8_t)kind;
            l->waiters[i].id = id;
            l->waiters[i].beside = NULL;
            atomic_store(&l->waiters[i].word, 0u);
            l->waiters_top = i >= l->waiters_top ? i + 1u : l->waiters_top;
            found = i;
            break;
        }
    }
    fari_unlock_link(l);
    return found;
}

// Under the link's lock: somebody else must lead now.
static void elect(struct far_link *l, uint32_t leaving) {
    l->leader = 0;
    l->leader_custom = false;
    if (l->claim) {
        uint32_t i = l->claim - 1u;
        l->claim = 0;
        wake_one(l, i);
        return;
    }
    for (uint32_t i = 0; i < l->waiters_top; i++) {
        if (i != leaving && l->waiters[i].kind != FARI_WAIT_NONE &&
            !atomic_load(&l->waiters[i].word)) {
            wake_one(l, i);
            return;
        }
    }
}

void fari_wait_end(struct far_link *l, uint32_t waiter) {
    if (waiter >= FARI_WAITERS) {
        return;
    }
    fari_lock_link(l);
    l->waiters[waiter].kind = FARI_WAIT_NONE;
    l->waiters[waiter].beside = NULL;
    // Its place may be another's before the leader makes way.
    l->claim = l->claim == waiter + 1u ? 0 : l->claim;
    while (l->waiters_top > 0 &&
           l->waiters[l->waiters_top - 1u].kind == FARI_WAIT_NONE) {
        l->waiters_top--;
    }
    // A wake that chose us as the next leader must not end with us.
    if (l->leader == 0 && l->waiters_top > 0) {
        elect(l, waiter);
    }
    fari_unlock_link(l);
}

static bool interrupted(struct far_link *l) {
    return l->port->interrupted && l->port->interrupted(l->ctx);
}

// Under the link's lock: everybody asks whether the interruption is theirs.
static void pass_interrupts(struct far_link *l) {
    uint32_t now = atomic_load(&l->interrupts);
    if (now != l->interrupts_seen) {
        l->interrupts_seen = now;
        wake_all(l);
    }
}

struct sleeper {
    uint32_t i;
    uint64_t deadline_ns;
    int (*wait)(void *arg, uint64_t deadline_ns);
    void *arg;
    const struct far_beside *beside;
};

// Where the leader sleeps: at the port's wait or one of its own.
static int sleep_at_bell(struct far_link *l, const struct sleeper *s,
    uint64_t until_ns) {
    if (s->beside) {
        return s->beside->wait(s->beside->arg, true, until_ns);
    }
    return s->wait ? s->wait(s->arg, until_ns)
                   : l->port->wait(l->ctx, until_ns);
}

// *ticked: it was time to look without a doorbell.
static int sleep_leading(struct far_link *l, const struct sleeper *s,
    bool *ticked) {
    if (interrupted(l)) {
        return FAR_EINTR;
    }
    uint64_t until = fari_rescue_until(l, s->deadline_ns);
    int err = sleep_at_bell(l, s, until);
    *ticked =
        err == FAR_ETIMEDOUT && until < s->deadline_ns && fari_now(l) >= until;
    if (atomic_load(&l->silent)) {
        return FAR_ELINKDOWN;
    }
    return *ticked ? FAR_OK : err;
}

// At most that many powers of two of sleeps go by without a look for a while:
// what it costs in vain is then less than a hundredth of them.
#define FARI_BUSY_MISSES 8u

// Without the lock: until far has written a message (1), something else wants
// the leader (0), or it is time (-1). evt_seen: far's head when the lock was
// held.
static int poll_evt(struct far_link *l, const struct sleeper *s,
    uint32_t evt_seen, uint32_t interrupts, uint64_t until_ns) {
    const struct fari_waiter *w = &l->waiters[s->i];
    while (far_msg_head(&l->evt) == evt_seen) {
        if (atomic_load_explicit(&w->word, memory_order_relaxed) ||
            atomic_load_explicit(&l->interrupts, memory_order_relaxed) !=
                interrupts ||
            fari_is_down(l)) {
            return 0;
        }
        if (fari_now(l) >= until_ns) {
            return -1;
        }
    }
    return 1;
}

// Under the link's lock, which it leaves meanwhile: looks at the evt ring for a
// while, if that has paid lately. True if there is something to take.
static bool busy_poll(struct far_link *l, const struct sleeper *s) {
    struct fari_busy *b = &l->busy;
    if (l->port->busy_poll_us == 0 || s->wait || s->beside || l->rescue.evt) {
        return false;
    }
    if (b->skip > 0) {
        b->skip--;
        return false;
    }
    uint32_t seen = l->evt.tail;
    uint32_t interrupts = atomic_load(&l->interrupts);
    uint64_t until = fari_now(l) + l->port->busy_poll_us * 1000ull;
    until = until < s->deadline_ns ? until : s->deadline_ns;
    fari_unlock_link(l);
    int found = poll_evt(l, s, seen, interrupts, until);
    fari_lock_link(l);
    if (found > 0 && b->misses > 0) {
        b->misses--;
    } else if (found < 0) {
        b->misses += b->misses < FARI_BUSY_MISSES;
        b->skip = (1u << b->misses) - 1u;
    }
    return found >= 0;
}

// Under the link's lock: looks, after a sleep. True if anything was there.
static bool look(struct far_link *l, bool ticked) {
    if (ticked) {
        return fari_rescue_look(l) && drain(l);
    }
    l->rescue.evt = false;
    return drain(l);
}

// A far side that rings or writes without end must not keep a call beyond its
// time, nor from an interruption: after so many rounds both are looked at.
#define FARI_ROUNDS 64u

static int is_over(struct far_link *l, const struct sleeper *s,
    uint32_t *rounds) {
    if (++*rounds < FARI_ROUNDS) {
        return FAR_OK;
    }
    *rounds = 0;
    if (interrupted(l)) {
        return FAR_EINTR;
    }
    return fari_now(l) >= s->deadline_ns ? FAR_ETIMEDOUT : FAR_OK;
}

// Called and returns with the link's lock held, l->leader being us.
static int lead(struct far_link *l, const struct sleeper *s) {
    struct fari_waiter *w = &l->waiters[s->i];
    int err = FAR_OK;
    bool slept = false;
    uint32_t rounds = 0;
    bool ticked = false;
    for (;;) {
        bool some = look(l, ticked);
        ticked = false;
        if (slept && !some) {
            far_store(&l->count.spurious, l->count.spurious + 1u);
        }
        pass_interrupts(l);
        if (atomic_exchange(&w->word, 0u)) {
            return FAR_OK;
        }
        if (err != FAR_OK) {
            return err;
        }
        if (fari_is_down(l)) {
            return FAR_ELINKDOWN;
        }
        if (l->claim && l->claim != s->i + 1u) {
            return FAR_OK;
        }
        err = is_over(l, s, &rounds);
        if (err != FAR_OK) {
            return err;
        }
        if (busy_poll(l, s) ||
            (!l->rescue.evt && !far_msg_may_sleep(&l->evt))) {
            continue;
        }
        l->leader_sleeps = true;
        fari_unlock_link(l);
        err = sleep_leading(l, s, &ticked);
        fari_lock_link(l);
        l->leader_sleeps = false;
        far_store(&l->count.wakeups, l->count.wakeups + 1u);
        slept = err == FAR_OK && !ticked;
        if (err == FAR_EINTR && !interrupted(l)) {
            err = FAR_OK; // a signal that is not for us
        } else if (err == FAR_ELINKDOWN) {
            // What far wrote before it died is still taken.
            drain(l);
            fari_break(l);
        }
    }
}

static int follow(struct far_link *l, const struct sleeper *s) {
    struct fari_waiter *w = &l->waiters[s->i];
    fari_unlock_link(l);
    bool stop = interrupted(l);
    bool own = false; // one of its own descriptors, or the time
    if (!stop && s->beside) {
        own = s->beside->wait(s->beside->arg, false, s->deadline_ns) ==
              FAR_ETIMEDOUT;
        stop = interrupted(l);
    } else if (!stop) {
        l->port->park(l->ctx, &w->word, 0u, s->deadline_ns);
        stop = interrupted(l);
    }
    fari_lock_link(l);
    if (atomic_exchange(&w->word, 0u)) {
        return FAR_OK;
    }
    if (stop || own) {
        return stop ? FAR_EINTR : FAR_ETIMEDOUT;
    }
    return fari_now(l) >= s->deadline_ns ? FAR_ETIMEDOUT : FAR_OK;
}

// More sleepers than waiters, or two that watch descriptors of their own.
static int blind(struct far_link *l, const struct sleeper *s) {
    uint64_t soon = fari_deadline(l, FARI_BLIND_MS);
    uint64_t until = soon < s->deadline_ns ? soon : s->deadline_ns;
    int err = FAR_OK;
    if (s->wait) {
        err = s->wait(s->arg, until);
    } else if (s->beside) {
        // Its own descriptors end it; the time that we gave does not.
        err = s->beside->wait(s->beside->arg, false, until);
        if (err == FAR_ETIMEDOUT && fari_now(l) < until) {
            return err;
        }
    } else {
        _Atomic uint32_t word = 0;
        l->port->park(l->ctx, &word, 0u, until);
    }
    if (interrupted(l)) {
        return FAR_EINTR;
    }
    if (err == FAR_ELINKDOWN) {
        return err;
    }
    return fari_now(l) >= s->deadline_ns ? FAR_ETIMEDOUT : FAR_OK;
}

// Under the link's lock: has a leader that sleeps at the port's own wait make
// way for us. False if it cannot.
static bool take_over(struct far_link *l, const struct sleeper *s) {
    if (!s->wait || l->leader_custom || l->claim) {
        return false;
    }
    l->claim = s->i + 1u;
    l->port->wake(l->ctx);
    return true;
}

static int take_step(struct far_link *l, const struct sleeper *s) {
    if (s->i >= FARI_WAITERS) {
        fari_glance(l);
        return blind(l, s);
    }
    fari_lock_link(l);
    int err = FAR_OK;
    if (atomic_exchange(&l->waiters[s->i].word, 0u)) {
        err = FAR_OK;
    } else if (fari_is_down(l)) {
        err = FAR_ELINKDOWN;
    } else if (l->leader == 0) {
        l->leader = s->i + 1u;
        l->leader_custom = s->wait != NULL;
        err = lead(l, s);
        elect(l, s->i);
    } else if (!s->wait || take_over(l, s)) {
        err = follow(l, s);
    } else {
        fari_unlock_link(l);
        return blind(l, s);
    }
    fari_unlock_link(l);
    return err;
}

// Who leads, or is about to sleep, must not do anything else meanwhile.
static int step(struct far_link *l, const struct sleeper *s) {
    fari_hold(l);
    int err = take_step(l, s);
    fari_unhold(l);
    return err;
}

int fari_wait_step(struct far_link *l, uint32_t waiter, uint64_t deadline_ns) {
    struct sleeper s = {.i = waiter, .deadline_ns = deadline_ns};
    return step(l, &s);
}

int fari_wait_step_with(struct far_link *l, uint32_t waiter,
    uint64_t deadline_ns, int (*wait)(void *arg, uint64_t deadline_ns),
    void *arg) {
    struct sleeper s = {
        .i = waiter,
        .deadline_ns = deadline_ns,
        .wait = wait,
        .arg = arg,
    };
    return step(l, &s);
}

void fari_wait_far(struct far_link *l, uint32_t waiter, uint64_t until) {
    int err = fari_wait_step(l, waiter, until);
    if (err == FAR_EINTR) {
        // interrupted() stays true: do not spin on it.
        fari_pause(l);
    }
    if (err == FAR_ETIMEDOUT || (err == FAR_EINTR && fari_now(l) >= until)) {
        far_link_down(l);
    }
}

int fari_idle(struct far_link *l, uint64_t deadline_ns) {
    _Atomic uint32_t word = 0;
    if (!l->port->park) {
        return FAR_ETIMEDOUT;
    }
    l->port->park(l->ctx, &word, 0u, deadline_ns);
    if (interrupted(l)) {
        return FAR_EINTR;
    }
    return fari_now(l) >= deadline_ns ? FAR_ETIMEDOUT : FAR_OK;
}

void fari_pause(struct far_link *l) {
    if (l->port->park) {
        _Atomic uint32_t word = 0;
        l->port->park(l->ctx, &word, 0u, fari_deadline(l, FARI_PAUSE_MS));
    }
    fari_glance(l);
}

void fari_glance(struct far_link *l) {
    fari_lock_link(l);
    if (l->leader == 0 && !fari_is_down(l)) {
        // A time that has passed: the port only looks.
        int err = l->port->wait(l->ctx, 1u);
        drain(l);
        if (err == FAR_ELINKDOWN || atomic_load(&l->silent)) {
            fari_break(l);
        }
    }
    fari_unlock_link(l);
}

void far_link_take(struct far_link *l) {
    fari_lock_link(l);
    if (!fari_is_down(l) && far_msg_is_there(&l->evt)) {
        drain(l);
    }
    fari_unlock_link(l);
}

uint32_t far_link_events(struct far_link *l) {
    return atomic_load(&l->events);
}

int far_link_wait(struct far_link *l, uint32_t events, uint64_t deadline_ns,
    int (*wait)(void *arg, uint64_t deadline_ns), void *arg) {
    uint32_t w = fari_wait_begin(l, FARI_WAIT_ANY, 0);
    int err = FAR_OK;
    // Whoever took a KICK after the caller armed counted it before this look.
    if (atomic_load(&l->events) == events) {
        err = fari_wait_step_with(l, w, deadline_ns, wait, arg);
    }
    fari_wait_end(l, w);
    return err;
}

int far_link_wait_beside(struct far_link *l, uint32_t events,
    uint64_t deadline_ns, const struct far_beside *beside) {
    uint32_t w = fari_wait_begin(l, FARI_WAIT_ANY, 0);
    int err = FAR_OK;
    if (w < FARI_WAITERS) {
        fari_lock_link(l);
        l->waiters[w].beside = beside;
        fari_unlock_link(l);
    }
    if (atomic_load(&l->events) == events) {
        struct sleeper s = {
            .i = w,
            .deadline_ns = deadline_ns,
            .beside = beside,
        };
        err = step(l, &s);
    }
    fari_wait_end(l, w);
    return err;
}
