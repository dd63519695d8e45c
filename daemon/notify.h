// Tells the service manager where we are: the sd_notify(3) protocol.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_NOTIFY_H
#define FARSOCKD_NOTIFY_H

// Sends state ("READY=1", lines) to $NOTIFY_SOCKET, a path or, with @, an
// abstract name. Nothing if it is not set; a failure is one warning.
void notify(const char *state);

#endif
