// Link-up, death and rebirth in memory that stays (no port has it yet; with a
// fresh region for each life all epochs are 1): the header's epoch, seen and
// ready, for sides that die at any step.
// SPDX-License-Identifier: MIT
//
// A side that is up works in the other's lines, of the life that it has seen.
//
// full: DEATHS=3
// live: up_again
// omit: SEEN_FIRST   seen is set without waiting for the other side
// omit: STOP_FIRST   the memory is left alone before seen says so
// omit: CLEAR_AFTER  own lines are cleared after the other has seen this life
// omit: READY_CHECK  up only if the other's ready is the epoch that was seen

#ifndef DEATHS
#define DEATHS 2
#endif

#ifdef READY_CHECK
#define ITS_READY true
#else
#define ITS_READY (its_ready == its_epoch)
#endif

byte epoch[2], seen[2], ready[2];
byte cleared[2]; // the life for which a side's lines were cleared last
bit up[2];
byte deaths;

proctype side(byte me) {
    byte its_epoch, its_seen, its_ready;
    goto boot;
life:
    do
    :: atomic { deaths < DEATHS -> deaths++; up[me] = 0; goto boot }
    :: its_epoch = epoch[1 - me];
        if
#ifdef SEEN_FIRST
        :: its_epoch != 0 && seen[me] != its_epoch && seen[1 - me] == epoch[me] ->
#else
        :: its_epoch != 0 && seen[me] != its_epoch ->
#endif
#ifdef STOP_FIRST
            seen[me] = its_epoch;
            up[me] = 0
#else
            up[me] = 0;
            seen[me] = its_epoch
#endif
        :: else
        fi;
        its_seen = seen[1 - me];
        if
#ifdef CLEAR_AFTER
        :: ready[me] != epoch[me] ->
#else
        :: its_seen == epoch[me] && ready[me] != epoch[me] ->
#endif
            // Whoever is up in an earlier life would read what is cleared.
            assert(!up[1 - me]);
            cleared[me] = epoch[me];
            ready[me] = epoch[me]
        :: else
        fi;
        its_epoch = epoch[1 - me];
        its_ready = ready[1 - me];
        its_seen = seen[1 - me];
        if
        :: !up[me] && its_epoch != 0 && seen[me] == its_epoch &&
            its_seen == epoch[me] && ready[me] == epoch[me] && ITS_READY ->
            up[me] = 1;
            assert(cleared[1 - me] == its_epoch || epoch[1 - me] != its_epoch)
        :: else
        fi;
        its_seen = 0;
        its_ready = 0
    od;
boot:
    seen[me] = 0;
    ready[me] = 0;
    epoch[me] = epoch[me] + 1;
    goto life
}

init {
    atomic {
        run side(0);
        run side(1)
    }
}

ltl up_again { <> [] (up[0] == 1 && up[1] == 1) }
