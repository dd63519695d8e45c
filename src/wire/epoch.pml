// Link-up, death and rebirth in memory that stays: the epoch, seen and ready of
// both headers, for sides that die at any step, and a far side that ends a link
// whose near side lives.
// SPDX-License-Identifier: MIT
//
// models: src/near/join.c: far_join_begin far_join_step take_layout far_join_holds
// models: src/near/link.c: init_rings
// models: daemon/fixed.c: begin_life publish clear_part load meet fixed_look link_gone drop_link fixed_near_gone
// models: daemon/ivshmem_server.c: write_off_far
// spec: Fixed memory
//
// Each store and load is a step of its own. Where no region is used twice (posix)
// all epochs are 1, and nothing of this is needed.
//
// full: DEATHS=3
// live: up_again
// omit: SEEN_FIRST   seen is set without waiting for the other side
// omit: STOP_FIRST   far leaves the memory alone before seen says so
// omit: CLEAR_AFTER  far clears its part after near has seen this life
// omit: READY_CHECK  near is up only if far's ready is the epoch that it saw
// omit: READY_BACK   FIXED_READY: far takes ready back before seen names a new life
// omit: OVER         a life whose link has ended is not served again

#ifndef DEATHS
#define DEATHS 2
#endif

byte n_epoch, n_seen, n_ready; // near's header
byte f_epoch, f_seen, f_ready; // far's
bit n_up, f_up;                // who works in the other's part
#ifdef STOP_FIRST
#define FREE true
#else
#define FREE (!f_up)
#endif
byte deaths;                   // and links that far ended
// For which two lives a part was made last.
byte n_part_near, n_part_far, f_part_near, f_part_far;

#define DIE(label) atomic { deaths < DEATHS -> deaths++; goto label }

active proctype near_core() {
    byte far, e, s, r;
boot:
    n_up = 0;
    far = 0;
    n_ready = 0;
    n_seen = 0;
    n_epoch++;
    do
    :: DIE(boot)
    :: e = f_epoch;
        if
#ifdef SEEN_FIRST
        :: e != 0 && e != far && f_seen == n_epoch ->
#else
        :: e != 0 && e != far ->
#endif
            far = e;
            n_seen = e
        :: else
        fi;
        s = f_seen;
        r = f_ready;
        if
#ifdef READY_CHECK
        :: far != 0 && s == n_epoch && f_epoch == far ->
#else
        :: far != 0 && s == n_epoch && r == far && f_epoch == far ->
#endif
            // Its lines are of our two lives, unless it has gone on meanwhile.
            assert((f_part_near == n_epoch && f_part_far == far) ||
                   f_epoch != far || f_ready != far);
            assert(!f_up); // it would read what is made anew
            atomic { n_part_near = n_epoch; n_part_far = far }
            n_up = 1;
            n_ready = n_epoch;
            break
        :: else
        fi
    od;
    do
    :: DIE(boot)
    :: f_epoch != far || f_ready != far || f_seen != n_epoch -> goto boot
    od
}

active proctype far_core() {
    byte near, e, s, r;
    bit over;
    goto boot;
dies:
    // Somebody may say so who is told.
    if
    :: f_ready = 0
    :: skip
    fi;
boot:
    f_up = 0;
    near = 0;
    over = 0;
    f_ready = 0;
    f_seen = 0;
    f_epoch++;
    do
    :: atomic { deaths < DEATHS -> deaths++; f_up = 0; goto dies }
    :: atomic { f_up && deaths < DEATHS -> deaths++; f_up = 0 } // a broken rule
#ifndef OVER
        over = 1;
#endif
        f_ready = 0
    :: true ->
        e = n_epoch;
        s = n_seen;
        r = n_ready;
        if
        :: f_up && (e != near || r != near || s != f_epoch) ->
#ifdef STOP_FIRST
            near = e; // and its last link is served on
            f_ready = 0;
            f_seen = e
#else
            f_up = 0;
#ifndef OVER
            over = 1;
#endif
            f_ready = 0
#endif
        :: else
        fi;
        if
#ifdef SEEN_FIRST
        :: FREE && e != 0 && e != near && s == f_epoch ->
#else
        :: FREE && e != 0 && e != near ->
#endif
            over = 0;
            near = e;
#ifdef READY_BACK
            f_seen = e;
            f_ready = 0
#else
            f_ready = 0;
            f_seen = e
#endif
        :: else
        fi;
        if
#ifdef CLEAR_AFTER
        :: FREE && !over && near != 0 ->
#else
        :: FREE && !over && near != 0 && s == f_epoch ->
#endif
            if
            :: f_ready != f_epoch ->
                assert(!n_up); // it would read what is made anew
                atomic { f_part_near = near; f_part_far = f_epoch }
                f_ready = f_epoch
            :: else
            fi;
            if
            :: r == near && s == f_epoch ->
                f_up = 1;
                assert((n_part_near == near && n_part_far == f_epoch) ||
                       n_epoch != near)
            :: else
            fi
        :: else
        fi;
        e = 0;
        s = 0;
        r = 0
    od
}

ltl up_again {
    <> [] (n_up && f_up && n_seen == f_epoch && f_seen == n_epoch)
}
