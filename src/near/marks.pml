// The marks of urgent data in far's line: a place for each of the last few, and
// a word that counts them. Near takes no place for that of another mark.
// SPDX-License-Identifier: MIT
//
// models: src/near/urgent.c: fari_urg_news
// models: daemon/urgent.c: note_mark
// spec: Streams
//
// A cache moves the line whole, so what near sees of it never goes back: loads
// and stores are all there is, and a barrier that is left out lets them happen
// in either order. A mark's place is here its number.
//
// full: MOST=9
// omit: PLACE URG_PLACE: a mark's place before the word that counts it
// omit: THEN  URG_THEN: the word before the places
// omit: AGAIN URG_AGAIN: the places before the second look at the word
// omit: MOVED the second look: what was counted meanwhile took places, too
// omit: NEXT  one place more than is counted may be there

#ifndef MOST
#define MOST 6
#endif
#define MARKS 4
#define BOTH(a, b) if :: a; b :: b; a fi

byte place[MARKS];
byte word;

active proctype far() {
    byte n;
    do
    :: n == MOST -> break
    :: else ->
        n++;
#ifdef PLACE
        BOTH(place[n % MARKS] = n, word = n)
#else
        place[n % MARKS] = n;
        word = n
#endif
    od
}

inline load_places() {
    pos[0] = place[0];
    pos[1] = place[1];
    pos[2] = place[2];
    pos[3] = place[3]
}

active proctype near() {
    byte pos[MARKS];
    byte seen, last, again, sure, count;
    do
    :: seen == MOST -> break
    :: word != seen ->
#ifdef THEN
        if
        :: load_places(); last = word
        :: last = word; load_places()
        fi;
        again = word;
#else
        last = word;
#ifdef AGAIN
        if
        :: again = word; load_places()
        :: load_places(); again = word
        fi;
#else
        load_places();
        again = word;
#endif
#endif
#ifdef MOVED
        again = last;
#endif
#ifdef NEXT
        again = again - last;
#else
        again = again - last + 1;
#endif
        sure = (again < MARKS -> MARKS - again : 0);
        count = last - seen;
        count = (count < sure -> count : sure);
        do
        :: count == 0 -> break
        :: else ->
            count--;
            assert(pos[(last - count) % MARKS] == last - count)
        od;
        seen = last
    od
}
