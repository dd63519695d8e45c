// KICKs: bytes in a ring are told of by a message in another, which is told of
// by the doorbell. At most one KICK is unread, several stores may come before
// one look at wake, and still nobody sleeps beside bytes.
// SPDX-License-Identifier: MIT
//
// models: src/ring/msg.c: far_msg_publish far_msg_pending far_msg_get advance far_msg_may_sleep far_msg_awake
// models: src/near/slot.c: fari_kick_locked
// models: src/near/near.h: fari_store_tx fari_tell_tx
// models: src/near/state.c: fari_publish_tx fari_arm_rx
// models: daemon/sock.c: sock_publish
// models: daemon/link.c: link_kick
// spec: Message rings
// spec: Telling
//
// A step "before" that is left out may happen in either order.
//
// full: MOST=6
// live: taken
// omit: SYNC_HEAD        TX_HEAD_WAKE, TX_FREE_WAKE, RX_TAIL_WAKE, FAR_LINE_WAKE: head before the look at wake
// omit: SYNC_PENDING     MSG_PENDING: head before the look whether a KICK is unread
// omit: SYNC_RECORD      MSG_HEAD_WAKE: a record before the look at the reader's wake
// omit: SYNC_ARM         ARM_RX_LOOK, ARM_TX_LOOK: wake before the last look at head
// omit: SYNC_SLEEP       MSG_SLEEP_LOOK: the ring's wake before the last look for records
// omit: SYNC_TAIL        MSG_TAIL_SOCK: the tail past a KICK before the look at its socket
// omit: RECHECK          the last look at head before the sleep
// omit: MSG_RECHECK      the last look for records before the sleep
// omit: BATCH            the wake is compared with the head at the last look, not at the last store
// omit: ONE_KICK         no KICK while one is unread (the ring has room for one)

#ifndef MOST
#define MOST 4
#endif
#define BEHIND 255

byte head, wake = BEHIND, tail; // bytes
byte records, read, sleep_at = BEHIND; // KICKs: head, tail, wake of their ring
bit bell;
byte taken;

// Two steps whose order matters, and does not hold if NAME is left out.
#define BOTH(a, b) if :: a; b :: b; a fi

active proctype writer() {
    byte last = 0;    // head at the last look at wake
    byte kick = 0;    // end of the last KICK
    byte old, w, r, s;
    do
    :: head == MOST -> break
    :: head < MOST ->
        old = head;
#ifdef SYNC_PENDING
        r = read; // before the store: nothing else orders it where one closes
#endif
#ifdef SYNC_HEAD
        BOTH(head++, w = wake);
#else
        head++;
        if
        :: head < MOST -> goto next // more before the look
        :: skip
        fi;
        w = wake;
#endif
#ifdef BATCH
        last = old;
#endif
        if
        :: w != BEHIND && w >= last && w < head ->
            last = head;
#ifndef SYNC_PENDING
            r = read;
#endif
#ifndef ONE_KICK
            if
            :: kick > r -> goto next
            :: else
            fi;
#endif
            kick = records + 1;
#ifdef SYNC_RECORD
            BOTH(records++, s = sleep_at);
#else
            records++;
            s = sleep_at;
#endif
            assert(records - read <= 1);
            if
            :: s == records - 1 -> bell = 1
            :: else
            fi
        :: else -> last = head
        fi;
next:
        old = 0; w = 0; r = 0; s = 0
    od
}

active proctype reader() {
    byte h, k;
    bit elsewhere; // something else woke it
    do
    :: tail == MOST -> break
    :: tail < MOST ->
        h = head;
        if
        :: h > tail -> tail = h; goto more
        :: else
        fi;
        // Arm, and look again.
#ifdef SYNC_ARM
        BOTH(wake = tail, h = head);
#else
        wake = tail;
        h = head;
#endif
#ifndef RECHECK
        if
        :: h > tail -> goto more
        :: else
        fi;
#endif
        // The records that are there: the tail, and then the socket.
wait:
        k = records;
        if
        :: k > read ->
#ifdef SYNC_TAIL
            BOTH(read = k, h = head);
            wake = tail;
            if
            :: h > tail -> goto more
            :: else -> goto wait
            fi
#else
            read = k;
            goto more
#endif
        :: else
        fi;
#ifdef SYNC_SLEEP
        BOTH(sleep_at = read, k = records);
#else
        sleep_at = read;
        k = records;
#endif
#ifndef MSG_RECHECK
        if
        :: k > read -> goto wait
        :: else
        fi;
#endif
        if
        :: atomic { bell == 1 -> bell = 0 }
        :: elsewhere == 0 ->
            elsewhere = 1;
            sleep_at = BEHIND // nobody need ring while it is awake
        fi;
        goto wait;
more:
        h = 0; k = 0
    od;
    taken = 1
}

ltl taken { <> (taken == 1) }
