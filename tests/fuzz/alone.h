// A network of its own, with loopback only: what is fuzzed really calls it.
// SPDX-License-Identifier: MIT
#ifndef FUZZ_ALONE_H
#define FUZZ_ALONE_H

// Ends the process if it cannot be.
void fuzz_alone(void);

// Descriptors below 256 that are open; but for pipes, which a fuzzer has for
// its helpers.
int fuzz_descriptors(void);

#endif
