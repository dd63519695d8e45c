// Two threads send on one socket. Each gives the socket's lock back before it
// looks whether far waits: so the lock's release is the barrier in between.
// SPDX-License-Identifier: MIT
//
// models: src/near/stream.c: unlock_and_tell put_plain
// models: src/near/near.h: fari_store_tx fari_tell_tx
// spec: Telling
//
// Each thread looks for its own bytes: from where its send began to where it
// ended, whatever the other one has sent since. What becomes of the KICK is in
// kick.pml; one that comes late, even for a slot that was closed meanwhile, only
// makes far look. A barrier that is left out: the look may come first.
//
// full: EACH=4
// live: taken
// omit: SYNC  TX_FREE_WAKE: head before the look at wake
// omit: OWN   a thread looks for its own bytes, not for the last that are there
// omit: BEGIN it looks from where its own send began, not from the last byte

#ifndef EACH
#define EACH 2
#endif
#define BEHIND 255

byte head, wake = BEHIND;
byte old_head; // tx_head, under lock
bit lock;
bit bell;
byte taken;

#define LOCK   atomic { lock == 0 -> lock = 1 }
#define UNLOCK lock = 0

// A send of one byte or two.
inline send() {
    LOCK;
    old = old_head;
    if
    :: left > 1 -> now = old + 2; left = left - 2
    :: now = old + 1; left--
    fi;
    old_head = now;
#ifdef SYNC
    if
    :: w = wake; head = now; UNLOCK
    :: head = now; w = wake; UNLOCK
    :: head = now; UNLOCK; w = wake
    fi;
#else
    head = now;
    UNLOCK;
    w = wake;
#endif
#ifdef OWN
    now = head;
    old = (now > 0 -> now - 1 : 0);
#endif
#ifdef BEGIN
    old = now - 1;
#endif
    if
    :: w != BEHIND && w >= old && w < now -> bell = 1
    :: else
    fi;
    old = 0; now = 0; w = 0
}

active [2] proctype near() {
    byte left = EACH, old, now, w;
    do
    :: left == 0 -> break
    :: else -> send()
    od
}

active proctype far() {
    byte h;
    do
    :: taken == 2 * EACH -> break
    :: else ->
        h = head;
        if
        :: h > taken -> taken = h
        :: else ->
            wake = taken;
            h = head;
            if
            :: h > taken -> skip
            :: else -> atomic { bell == 1 -> bell = 0 }
            fi
        fi;
        h = 0
    od
}

ltl taken { <> (taken == 2 * EACH) }
