// The functions of place.h, where code shall be small.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#if FARI_SMALL
    #include "near/place.h"
#endif
