// Watches routes and addresses: when they change, what near has learned about
// the fate of datagrams is void.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "daemon/log.h"

void link_forget_verdicts(struct link *l) {
    uint32_t epoch = ++l->verdict_epoch;
    far_store(&l->far->verdict_epoch, epoch);
    FAR_CLEAN(FAR_AT_FAR_VERDICT, &l->far->verdict_epoch, FAR_LINE);
    // Perhaps we sleep now, and no other barrier comes.
    FAR_SYNC(FAR_AT_FAR_VERDICT_DONE);
}

static void route_ready(struct watch *w, uint32_t events) {
    struct engine *e = OF(w, struct engine, route_watch);
    char drop[8192];
    (void)events;
    // What changed does not matter; an overrun (ENOBUFS) is a change as well.
    while (recv(e->route_fd, drop, sizeof drop, MSG_DONTWAIT) > 0) {
    }
    for (struct node *n = e->links.next; n != &e->links; n = n->next) {
        link_forget_verdicts(OF(n, struct link, all));
    }
}

void route_open(struct engine *e) {
    struct sockaddr_nl sa = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                     RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
    };
    e->route_watch.ready = route_ready;
    e->route_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
        NETLINK_ROUTE);
    if (e->route_fd < 0 ||
        bind(e->route_fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        engine_watch(e, &e->route_watch, e->route_fd, EPOLLIN) < 0) {
        far_log(FAR_LOG_WARN, "no rtnetlink: changes of routes go unnoticed");
        route_close(e);
    }
}

void route_close(struct engine *e) {
    if (e->route_fd >= 0) {
        engine_unwatch(e, &e->route_watch, e->route_fd);
        close(e->route_fd);
        e->route_fd = -1;
    }
}
