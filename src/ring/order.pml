// The order of loads and stores where no line moves: bytes are read before the
// tail that frees them, overwritten after it was seen; and what a flag says to
// be final is loaded after the flag and stored before it.
// SPDX-License-Identifier: MIT
//
// models: src/ring/msg.c: refresh_tail make_room advance
// models: src/near/state.c: fari_refresh_tx fari_refresh_rx fari_publish_rx fari_stream_over
// models: src/near/place.h: fari_far_says
// models: src/near/slot.c: say_closed renew
// models: daemon/sock.c: init_line store_line sock_look publish_closed
// spec: When each word is written
//
// A barrier that is left out: its two sides may happen in either order.
//
// omit: TAKEN   MSG_TAKEN, RX_READ, CLOSED_LAST: reads before the tail
// omit: ROOM    MSG_TAIL_ROOM, TX_ROOM, FAR_INDEX: the tail before overwriting
// omit: LAST    CLOSE_LAST, RENEW_GEN, LINE_GEN, FAR_STATE, JOIN_EPOCH, FIXED_EPOCH, NEAR_INIT_DONE: the rest before the flag
// omit: FLAG    FAR_FLAGS, NEAR_LOOK_THEN, STATE_THEN, JOIN_THEN, JOIN_LAYOUT_THEN, FIXED_THEN: the flag before what it says of the rest

#define MOST 3
#define BOTH(a, b) if :: a; b :: b; a fi

byte head, tail; // records in a ring of one
byte slot;
byte final;
bit flag;

active proctype writer() {
    byte n;
    do
    :: n == MOST -> break
    :: else ->
#ifdef ROOM
        // A store that ran ahead of the load that allows it, and stayed.
        if
        :: slot = n + 1; tail == n
        :: tail == n; slot = n + 1
        fi;
#else
        tail == n;
        slot = n + 1;
#endif
        n++;
        head = n
    od;
#ifdef LAST
    BOTH(final = head, flag = 1)
#else
    final = head;
    flag = 1
#endif
}

active proctype reader() {
    byte got, f, last;
    do
    :: tail == MOST -> break
    :: head > tail ->
#ifdef TAKEN
        BOTH(got = slot, tail++);
        assert(got == tail)
#else
        got = slot;
        assert(got == tail + 1);
        tail++
#endif
    od;
    do
    :: f -> break
    :: !f ->
#ifdef FLAG
        BOTH(last = final, f = flag)
#else
        f = flag;
        last = final
#endif
    od;
    assert(last == MOST)
}
