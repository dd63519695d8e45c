// Several threads wait on one link: one leads and sleeps at the doorbell, the
// others park; one wake word serves all who wait for the same ring.
// SPDX-License-Identifier: MIT
//
// models: src/near/wait.c: fari_wait_begin fari_wait_end elect lead follow take_over blind take_step fari_wake drain
// models: src/near/state.c: fari_arm_rx
// spec: Telling
//
// One thread takes all bytes, as they come (MSG_WAITALL); one waits until any byte
// has come (poll), but may give up at any moment (time, an interruption); one
// sleeps with a wait of its own, on something that only that wait sees (another
// descriptor), so it must lead: who leads makes way. The last byte comes when
// that has happened. As wait.c: begin, look and arm, step, end.
//
// full: MOST=2
// omit: RECHECK fari_arm_rx: the last look after the wake was stored
// omit: ARM_AGAIN MOST=2 who looks again arms again
// omit: WAKE_ALL a KICK has every waiter of the socket look, not only one
// omit: ELECT who leaves while leading, or ends while nobody leads, wakes a successor
// omit: END_ELECT the latter: one that was chosen may end without having led
// omit: MAKE_WAY who leads makes way for a wait of its own
// omit: NUDGE who wants to lead wakes the leader from its sleep

#ifndef MOST
#define MOST 1
#endif
#define BEHIND 255
#define NOBODY 3
#define OWN 2 // the thread with a wait of its own

#ifdef ARM_AGAIN
#define AGAIN 1
#else
#define AGAIN 0
#endif

byte head, wake = BEHIND; // of the ring
bit kick;                 // one unread KICK
bit bell;
bit rx_lock, lock;
byte seen, tail;          // under rx_lock
byte leader = NOBODY;     // under lock
byte claim = NOBODY;      // under lock: who wants to lead
bit nudge;                // the leader's sleep is to end
bit own;                  // what only OWN's wait sees
bit waits[3], word[3];

#define LOCK(l) atomic { l == 0 -> l = 1 }
#define UNLOCK(l) l = 0

active proctype far() {
    byte w;
    do
    :: head == MOST -> break
    :: head < MOST - 1 || (head < MOST && !waits[OWN] && own) ->
        head++;
        w = wake;
        if
        :: w == head - 1 ->
            atomic { kick = 1; bell = 1 }
        :: else
        fi
    od
}

// Under lock.
inline drain() {
    if
    :: kick ->
        kick = 0;
        atomic {
#ifdef WAKE_ALL
            if
            :: waits[2] -> word[2] = 1
            :: !waits[2] && waits[1] -> word[1] = 1
            :: !waits[2] && !waits[1] && waits[0] -> word[0] = 1
            :: else
            fi
#else
            word[0] = word[0] | waits[0];
            word[1] = word[1] | waits[1];
            word[2] = word[2] | waits[2]
#endif
        }
    :: else
    fi
}

inline elect() {
    atomic {
        leader = NOBODY;
#ifndef ELECT
        if
        :: claim != NOBODY -> word[claim] = 1; claim = NOBODY
        :: claim == NOBODY && me != 0 && waits[0] && !word[0] -> word[0] = 1
        :: claim == NOBODY && me != 1 && waits[1] && !word[1] -> word[1] = 1
        :: claim == NOBODY && me != 2 && waits[2] && !word[2] -> word[2] = 1
        :: else
        fi
#endif
    }
}

// Looks; arms if there is nothing. nothing: the caller may sleep.
inline look(enough) {
    LOCK(rx_lock);
    seen = head;
    nothing = !(enough);
    if
    :: nothing && !(armed && AGAIN) ->
        wake = seen;
        armed = true;
#ifndef RECHECK
        if
        :: head != seen -> nothing = false
        :: else
        fi
#endif
    :: else
    fi;
    UNLOCK(rx_lock)
}

inline step() {
    LOCK(lock);
    if
    :: word[me] -> word[me] = 0
    :: leader == NOBODY && !word[me] ->
        leader = me;
        do
        :: drain();
            if
            :: word[me] -> word[me] = 0; break
            :: else
            fi;
            if
            :: gave_up -> break
#ifndef MAKE_WAY
            :: claim != NOBODY && claim != me -> break
#endif
            :: else
            fi;
            UNLOCK(lock);
            if
            :: atomic { bell == 1 -> bell = 0 }
            :: atomic { nudge == 1 -> nudge = 0 }
            :: me == 1 || (me == OWN && own) -> gave_up = 1
            fi;
            LOCK(lock)
        od;
        elect()
    :: leader != NOBODY && !word[me] && (me != OWN || claim == NOBODY) ->
        if
        :: me == OWN ->
            claim = me;
#ifndef NUDGE
            nudge = 1
#endif
        :: else
        fi;
        UNLOCK(lock);
        if
        :: word[me] == 1
        :: me == 1 -> gave_up = 1
        fi;
        LOCK(lock);
        word[me] = 0
    :: leader != NOBODY && !word[me] && me == OWN && claim != NOBODY ->
        gave_up = own // a short sleep with its own wait
    fi;
    UNLOCK(lock)
}

inline end() {
    LOCK(lock);
    waits[me] = 0;
    if
    :: claim == me -> claim = NOBODY
    :: else
    fi;
#ifndef END_ELECT
    if
    :: leader == NOBODY -> elect()
    :: else
    fi;
#endif
    UNLOCK(lock)
}

active proctype takes_all() {
    byte me = 0;
    bit nothing, armed, gave_up;
    LOCK(lock);
    waits[me] = 1;
    UNLOCK(lock);
    do
    :: tail == MOST -> break
    :: else ->
        look(seen > tail);
        if
        :: nothing -> step()
        :: !nothing -> tail = seen
        fi
    od;
    end()
}

active proctype polls() {
    byte me = 1;
    bit nothing, armed, gave_up;
    LOCK(lock);
    waits[me] = 1;
    UNLOCK(lock);
    do
    :: look(seen > 0);
        if
        :: nothing ->
            step();
            if
            :: gave_up -> break
            :: else
            fi
        :: !nothing -> break
        fi
    od;
    end()
}

active proctype waits_beside() {
    byte me = OWN;
    bit gave_up;
    LOCK(lock);
    waits[me] = 1;
    UNLOCK(lock);
    do
    :: gave_up -> break
    :: else -> step()
    od;
    end()
}

active proctype elsewhere() {
    own = 1
}
