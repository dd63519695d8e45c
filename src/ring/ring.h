// One-way rings in shared memory: messages, and bytes.
// SPDX-License-Identifier: MIT
#ifndef FAR_RING_H
#define FAR_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farsock/errors.h"
#include "farsock/mem.h"
#include "farsock/wire.h"

// Indexes count bytes ever written or read and wrap at 2^32; the byte at count
// c lives at data[c & (size - 1)].
//
//   data  |......RRRRRRRRRRWW..........|     R readable, W written, unpublished
//                ^tail     ^head
//
// Each side's private copy of its own index is the authority. The peer's is
// loaded once, into a private copy, and checked: it moves forward only, and
// head - tail <= size. A peer that breaks this gives FAR_EBADMSG.

// True if an index that went from old to now passed the consumer's wake index.
// old is the producer's index at its last wake check, not at its last
// publication: else several publications before one check lose a wake-up.
static inline bool far_crossed(uint32_t wake, uint32_t old, uint32_t now) {
    return (uint32_t)(now - wake - 1u) < (uint32_t)(now - old);
}

// Checks the peer's head as loaded by a reader that has consumed up to tail and
// had seen seen. FAR_OK or FAR_EBADMSG.
static inline int far_check_head(uint32_t head, uint32_t seen, uint32_t tail,
    uint32_t size) {
    uint32_t used = head - tail;
    return used <= size && used >= seen - tail ? FAR_OK : FAR_EBADMSG;
}

// Checks the peer's tail as loaded by a writer that has written up to head and
// had seen seen. FAR_OK or FAR_EBADMSG.
static inline int far_check_tail(uint32_t tail, uint32_t seen, uint32_t head) {
    return head - tail <= head - seen ? FAR_OK : FAR_EBADMSG;
}

// --- Bytes ---

// Bytes from count pos to the end of the ring's memory, at most n.
static inline uint32_t far_ring_span(uint32_t size, uint32_t pos, uint32_t n) {
    uint32_t to_end = size - (pos & (size - 1u));
    return n < to_end ? n : to_end;
}

// Copies n bytes into the ring at count pos (wraps) and cleans those lines. The
// caller has checked that there is room.
void far_ring_put(uint8_t *data, uint32_t size, uint32_t pos, const void *src,
    uint32_t n);

// Copies n bytes out of the ring at count pos (wraps). The caller has
// invalidated nothing: this does. n <= head - pos.
void far_ring_get(const uint8_t *data, uint32_t size, uint32_t pos, void *dst,
    uint32_t n);

// Cleans or invalidates [pos, pos + n) where a kernel reads or wrote the ring's
// memory in place. Nothing where memory is coherent.
static inline void far_ring_clean(enum far_at at, const uint8_t *data,
    uint32_t size, uint32_t pos, uint32_t n) {
    uint32_t first = far_ring_span(size, pos, n);
    FAR_CLEAN(at, data + (pos & (size - 1u)), first);
    if (n > first) {
        FAR_CLEAN(at, data, n - first);
    }
}
static inline void far_ring_inv(enum far_at at, const uint8_t *data,
    uint32_t size, uint32_t pos, uint32_t n) {
    uint32_t first = far_ring_span(size, pos, n);
    FAR_INV(at, data + (pos & (size - 1u)), first);
    if (n > first) {
        FAR_INV(at, data, n - first);
    }
}

// --- Messages ---

// Writer's private half of a message ring. One task at a time.
struct far_msg_writer {
    struct far_msg_head *out;      // own line
    const struct far_msg_tail *in; // reader's line
    uint8_t *data;
    uint32_t size;    // bytes, power of two
    uint32_t head;    // written, maybe not yet published
    uint32_t tail;    // reader's, as last seen
    uint32_t checked; // head at the last wake check
};

// Reader's private half.
struct far_msg_reader {
    const struct far_msg_head *in;
    struct far_msg_tail *out;
    const uint8_t *data;
    uint32_t size;
    uint32_t tail;
    uint32_t head; // writer's, as last seen
};

void far_msg_writer_init(struct far_msg_writer *w, struct far_msg_head *out,
    const struct far_msg_tail *in, uint8_t *data, uint32_t size, uint32_t base);
void far_msg_reader_init(struct far_msg_reader *r,
    const struct far_msg_head *in, struct far_msg_tail *out,
    const uint8_t *data, uint32_t size, uint32_t base);

// Appends m with a payload made of a then b (m->len = a_len + b_len is set
// here). Not yet published. FAR_OK; FAR_EAGAIN if it does not fit now;
// FAR_EMSGSIZE if it never will; FAR_EBADMSG if the peer's tail is nonsense.
int far_msg_put(struct far_msg_writer *w, struct far_msg m, const void *a,
    uint32_t a_len, const void *b, uint32_t b_len);

// Publishes what was put. True: ring the peer's doorbell.
bool far_msg_publish(struct far_msg_writer *w);

// True if the message that ended at head position pos is not yet consumed.
bool far_msg_pending(struct far_msg_writer *w, uint32_t pos);

// Takes the next record: *m and its payload (m->len bytes, copied once into
// buf, which holds FAR_RECORD_MAX bytes) are private copies, checked with
// far_msg_check(). The tail is published before the return, so that a KICK is
// consumed before its socket is looked at. 1, 0 if empty, FAR_EBADMSG.
int far_msg_get(struct far_msg_reader *r, struct far_msg *m, void *buf);

// Publishes "wake me at the next message" and looks again. True: nothing there,
// the caller may sleep. FAR_EBADMSG shows at the next far_msg_get().
bool far_msg_may_sleep(struct far_msg_reader *r);

// Publishes "ring for nothing", for a reader that was woken by something else
// and will call far_msg_may_sleep() before it sleeps. No barrier: a writer that
// does not see it rings once too often.
void far_msg_awake(struct far_msg_reader *r);

// True if the reader has taken all that was published, as far as is known; and
// if something is there to be read. For who does not trust doorbells.
bool far_msg_is_read(struct far_msg_writer *w);
bool far_msg_is_there(struct far_msg_reader *r);

// The writer's head, unchecked: for who waits for it to move, also without the
// lock of r.
uint32_t far_msg_head(const struct far_msg_reader *r);

#endif
