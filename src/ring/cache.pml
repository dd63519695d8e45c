// A ring, its wake index and the doorbell on caches that are not coherent:
// nothing is lost, nothing is read that was not written.
// SPDX-License-Identifier: MIT
//
// models: src/ring/msg.c: far_msg_publish far_msg_may_sleep refresh_head far_msg_get
// models: src/near/near.h: fari_store_tx fari_tell_tx
// models: src/near/state.c: fari_publish_tx fari_publish_rx fari_arm_tx fari_arm_rx
// models: daemon/sock.c: store_line sock_publish sock_look
// spec: Message rings
// spec: Telling
//
// Each side has a copy of each line. CLEAN is posted; a dirty line may be
// evicted, and a clean one fetched anew, at any moment. The writer publishes
// MOST records, one at a time; the reader takes them and sleeps in between.
//
// omit: CLEAN_DATA   RING_PUT, SEND_COMMIT, FAR_RECV, FAR_DGRAM_RECV
// omit: WMB_DATA     MSG_HEAD_DATA, TX_DATA, FAR_DATA
// omit: CLEAN_HEAD   MSG_HEAD, TX_HEAD, RX_TAIL, FAR_LINE, LINE_NEW, CLOSE, CLOSED, UNDO
// omit: SYNC_HEAD    MSG_HEAD_WAKE, TX_HEAD_WAKE, TX_FREE_WAKE, RX_TAIL_WAKE, FAR_LINE_WAKE, NEAR_READY_DONE, JOIN_STEP_DONE, FIXED_STEP_DONE
// omit: INV_WAKE     MSG_WAKE_LOOK, NEAR_LOOK, FAR_WAKE_LOOK
// omit: CLEAN_WAKE   MSG_SLEEP, ARM_RX, ARM_TX, FAR_LINE
// omit: SYNC_WAKE    MSG_SLEEP_LOOK, ARM_RX_LOOK, ARM_TX_LOOK, FAR_LINE_WAKE
// omit: INV_HEAD     MSG_HEAD_LOOK, NEAR_LOOK, FAR_LOOK
// omit: RMB_HEAD     MSG_HEAD_THEN, RX_THEN, FAR_INDEX
// omit: INV_DATA     RING_GET, RECV_PEEK, FAR_SEND, FAR_DGRAM_SEND

#define MOST 2

#define WRITER 0
#define READER 1

// Lines: data of record 1 and 2, head, wake. A record's data is its number.
#define DATA(n) (n - 1)
#define HEAD 2
#define WAKE 3
#define LINES 4

byte memory[LINES];
byte view[8]; // [side * LINES + line]
bool dirty[8];
bool posted[8];
byte leaving[8]; // what a posted CLEAN carries

#define AT(side, line) (side * LINES + line)

bit bell;
bool asleep;
bool written;

inline store(side, line, v) {
    atomic { view[AT(side, line)] = v; dirty[AT(side, line)] = true }
}

inline clean(side, line) {
    atomic {
        if
        :: dirty[AT(side, line)] ->
            leaving[AT(side, line)] = view[AT(side, line)];
            posted[AT(side, line)] = true;
            dirty[AT(side, line)] = false
        :: else
        fi
    }
}

inline inv(side, line) {
    atomic { view[AT(side, line)] = memory[line] }
}

inline drain(side) {
    !posted[AT(side, 0)] && !posted[AT(side, 1)] &&
    !posted[AT(side, 2)] && !posted[AT(side, 3)]
}

// What the caches do of their own accord: a CLEAN arrives, a dirty line is
// evicted, a clean one is fetched.
#define ARRIVE(side, line)                                                     \
    atomic {                                                                   \
        posted[AT(side, line)] -> memory[line] = leaving[AT(side, line)];      \
        posted[AT(side, line)] = false                                         \
    }
#define EVICT(side, line)                                                      \
    atomic {                                                                   \
        dirty[AT(side, line)] && !posted[AT(side, line)] ->                    \
            memory[line] = view[AT(side, line)];                               \
        dirty[AT(side, line)] = false                                          \
    }
#define FETCH(side, line)                                                      \
    atomic {                                                                   \
        view[AT(side, line)] != memory[line] ->                                \
            view[AT(side, line)] = memory[line]                                \
    }

active proctype noise() {
end:
    do
    :: ARRIVE(WRITER, 0)
    :: ARRIVE(WRITER, 1)
    :: ARRIVE(WRITER, HEAD)
    :: ARRIVE(READER, WAKE)
    :: EVICT(WRITER, 0)
    :: EVICT(WRITER, 1)
    :: EVICT(WRITER, HEAD)
    :: EVICT(READER, WAKE)
    :: FETCH(READER, 0)
    :: FETCH(READER, 1)
    :: FETCH(READER, HEAD)
    :: FETCH(WRITER, WAKE)
    od
}

active proctype writer() {
    byte n = 1;
    byte wake;
    do
    :: n > MOST -> break
    :: else ->
        store(WRITER, DATA(n), n);
#ifndef CLEAN_DATA
        clean(WRITER, DATA(n));
#endif
#ifndef WMB_DATA
        drain(WRITER);
#endif
        store(WRITER, HEAD, n);
#ifndef CLEAN_HEAD
        clean(WRITER, HEAD);
#endif
#ifndef SYNC_HEAD
        drain(WRITER);
#endif
#ifndef INV_WAKE
        inv(WRITER, WAKE);
#endif
        wake = view[AT(WRITER, WAKE)];
        // Crossed: the wake index, here plus 1, is the head before this one.
        if
        :: wake == n -> bell = 1
        :: else
        fi;
        n++
    od;
    written = true
}

active proctype reader() {
    byte tail = 0;
    byte head = 0;
    do
    :: tail == MOST -> break
    :: else ->
#ifdef RMB_HEAD
        // The data may be had before the head is looked at.
        if
        :: inv(READER, DATA(tail + 1))
        :: skip
        fi;
#endif
#ifndef INV_HEAD
        inv(READER, HEAD);
#endif
        head = view[AT(READER, HEAD)];
        if
        :: head > tail ->
            tail++;
#ifndef RMB_HEAD
#ifndef INV_DATA
            inv(READER, DATA(tail));
#endif
#endif
            assert(view[AT(READER, DATA(tail))] == tail)
        :: else ->
            store(READER, WAKE, tail + 1);
#ifndef CLEAN_WAKE
            clean(READER, WAKE);
#endif
#ifndef SYNC_WAKE
            drain(READER);
#endif
#ifndef INV_HEAD
            inv(READER, HEAD);
#endif
            head = view[AT(READER, HEAD)];
            if
            :: head > tail
            :: else ->
                asleep = true;
                bell == 1;
                atomic { bell = 0; asleep = false }
            fi
        fi
    od
}

// Who sleeps while a record that nobody rings for is there sleeps for ever.
active proctype judge() {
end:
    atomic { written && asleep && bell == 0 -> assert(false) }
}
