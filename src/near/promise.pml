// A socket that far has made ahead: near takes it without asking, and far may take
// it back meanwhile. Only one of them has it then.
// SPDX-License-Identifier: MIT
//
// models: src/near/promise.c: find claim fari_promise_take
// models: daemon/promise.c: show promise_revoke promise_take
// spec: Promises
//
// Near says that it takes number n and then looks whether n is still there; far
// says that there is none and then looks whether near takes it. Either may find that
// the other one was quicker, both may give up: then far, which looks again later,
// finds that near has given it up. What near takes is of the kind that it wants, and
// is there until far hears of it.
//
// full: MOST=4
// omit: SYNC_TAKE  PROMISE_TAKE_LOOK: that near takes it before the look whether it is there
// omit: CLEAN_TAKE PROMISE_TAKE: that near takes it reaches memory
// omit: SYNC_BACK  PROMISE_BACK_LOOK: that there is none before the look whether it is taken
// omit: INV_TAKEN  PROMISE_TAKEN: what near takes is today's
// omit: RMB_KIND   PROMISE_THEN: the kind is read after its number
// omit: WMB_KIND   PROMISE_KIND: the kind is written before its number
// omit: LOOK       near looks once more when it has said that it takes it
// omit: AGAIN      the same number is never used again

#ifndef MOST
#define MOST 3
#endif

// What memory says. A kind is that of a number: its last bit, as far has it.
byte promise;
bit kind;
byte taken;

byte number;   // far's: the last one
bit there;     // far has its socket
bit is;        // its kind
bit message;   // near's SOCKET is in the ring: of that number, and kind
byte m_number;
bit m_kind;

inline find() {
#ifdef RMB_KIND
    if
    :: n = promise; k = kind
    :: k = kind; n = promise
    fi
#else
    n = promise;
    k = kind
#endif
}

inline claim() {
#ifdef SYNC_TAKE
    if
    :: taken = n; again = promise
    :: again = promise; taken = n
    fi;
#else
#ifdef CLEAN_TAKE
    again = promise; // and taken is in near's cache
#else
    taken = n;
#ifdef LOOK
    again = n;
#else
    again = promise;
#endif
#endif
#endif
}

active proctype near() {
    byte n, last, again;
    bit k, want;
end:
    do
    :: !message ->
        if
        :: want = 0
        :: want = 1
        fi;
        find();
        if
        :: n != 0 && n != last && k == want ->
            claim();
            if
            :: again == n ->
                last = n;
                atomic { m_number = n; m_kind = k; message = 1 }
            :: again != n -> taken = 0
            fi
        :: else
        fi;
        n = 0; k = 0; again = 0
    od
}

inline revoke() {
#ifdef SYNC_BACK
    if
    :: promise = 0; t = taken
    :: t = taken; promise = 0
    fi;
#else
    promise = 0;
#ifdef INV_TAKEN
    if
    :: t = taken
    :: t = seen // the line is still cached
    fi;
#else
    t = taken;
#endif
#endif
    seen = t;
    if
    :: t != number -> there = 0
    :: t == number
    fi;
    t = 0
}

active proctype far() {
    byte t, seen, served;
end:
    do
    :: message ->
        assert(there);
        assert(m_number == number);
        assert(m_kind == is);
        atomic { there = 0; message = 0 }
    :: there && number > 0 -> revoke()
    :: !there && served < MOST ->
        served++;
#ifdef AGAIN
        number = 1;
#else
        number++;
#endif
        if
        :: is = 0
        :: is = 1
        fi;
        there = 1;
#ifdef WMB_KIND
        if
        :: kind = is; promise = number
        :: promise = number; kind = is
        fi
#else
        kind = is;
        promise = number
#endif
    od
}
