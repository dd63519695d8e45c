// Trust in a destination: near sends a datagram without asking how it went where the
// last one went, until far tells that this may have changed. A route changes beside
// both. Policies need no model: far alone keeps to them, when it sends, in the
// thread that loads them; they change what near may trust as a route does.
//
// models: src/near/verdict.c: fari_now_epochs fari_is_trusted fari_trust
// models: src/near/dgram.c: may_send try_put flush
// models: daemon/route.c: link_forget_verdicts route_ready
// models: daemon/dgram.c: send_whole
// models: daemon/sock.c: store_line
// spec: Datagrams
//
// Once far has told of a change, nothing goes unasked to where it fails; once an
// error was told, the next one is asked for, unless one was since it came about
// (a call meets the error of an earlier send later than its own answer).
//
// full: MOST=5
// omit: EPOCHS_FIRST   near loads what it trusts under before the record goes, not with the answer
// omit: CHANGE_FIRST   far tells of a change when it is made, not before
// omit: INV            LINK_VERDICT: the link's epoch is today's
// omit: VERDICT        an unasked send that fails voids what its socket trusts
// omit: VERDICT_FIRST  FAR_DATA: it does so before its error is there

#ifndef MOST
#define MOST 4
#endif

bit good = 1;         // what the kernel says of the destination
byte changed, told;   // how often that changed, and what far has told of it
byte epoch, verdict;  // the link's and the socket's
byte err;             // errors of unasked sends
byte ring;            // unasked records
bit asked, answer;    // a record with a FLUSH; whether it went

active proctype kernel() {
    do
    :: changed < 3 ->
#ifdef CHANGE_FIRST
        epoch++;
        atomic { good = 1 - good; changed++; told = changed }
#else
        atomic { good = 1 - good; changed++ }
#endif
    :: break
    od
}

active proctype far() {
end:
    do
    :: told < changed -> atomic { told = changed; epoch++ }
    :: ring > 0 ->
        if
        :: good -> ring--
        :: !good ->
            ring--;
#ifdef VERDICT
            err++
#else
#ifdef VERDICT_FIRST
            err++;
            verdict++
#else
            verdict++;
            err++
#endif
#endif
        fi
    :: asked && ring == 0 -> atomic { answer = good; asked = 0 }
    od
}

active proctype near() {
    byte sends, e, v, w, seen;
    byte trust_e, trust_v;
    bit trusted, known, bad, failed;
    byte settled; // errors that an answer came after
    do
    :: sends == MOST -> break
    :: sends < MOST ->
        sends++;
#ifdef INV
        if
        :: atomic { e = epoch; bad = told == changed && !good }
        :: sends > 1 -> bad = told == changed && !good // the line is still cached
        fi;
#else
        atomic { e = epoch; bad = told == changed && !good };
#endif
        v = verdict;
        known = trusted && trust_e == e && trust_v == v;
        w = err;
        if
        :: w != seen -> // this call gets it, and sends nothing
            seen = w;
            failed = w > settled
        :: w == seen && known ->
            assert(!bad);
            assert(!failed);
            ring++
        :: w == seen && !known ->
            failed = 0;
            asked = 1;
            atomic { asked == 0; settled = err };
            trusted = answer;
#ifdef EPOCHS_FIRST
            e = epoch;
            v = verdict;
#endif
            trust_e = e;
            trust_v = v
        fi;
        e = 0; v = 0; w = 0; known = 0; bad = 0
    od
}
