// The link, for those of this port that wait.
// SPDX-License-Identifier: MIT
#ifndef FAR_MP_LINK_H
#define FAR_MP_LINK_H

struct far_mp_link;

// The link that is up, without a reference; NULL if there is none.
struct far_mp_link *far_mp_link_current(void);

#endif
