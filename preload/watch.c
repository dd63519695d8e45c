// Which far sockets an epoll instance has to look at: those that something was
// told of. SPDX-License-Identifier: MIT
#include "preload/epoll.h"

#include <stdlib.h>

// Who learns that something may have changed at a socket (a KICK from far, an
// own call) marks it: without a lock, because that may be under the link's. The
// marked ones are a stack. Before an instance is looked at they are sorted into
// the lists of the instances that they are in. So a wait costs what was told,
// however many sockets are quiet.

static struct psock *_Atomic marked;
static _Atomic int sorting;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t forks;

void watch_lock(void) {
    own_lock(&lock);
}

void watch_unlock(void) {
    own_unlock(&lock);
}

void psock_mark(struct psock *s) {
    if (!atomic_load(&s->watched) || atomic_exchange(&s->marked, true)) {
        return;
    }
    struct psock *top = atomic_load(&marked);
    do {
        s->next_marked = top;
    } while (!atomic_compare_exchange_weak(&marked, &top, s));
}

// --- The list of an instance ---

void watch_list(struct entry *it) {
    struct ep *e = it->ep;
    if (it->link_listed) {
        return;
    }
    it->next_listed = NULL;
    it->link_listed = e->listed_end;
    *e->listed_end = it;
    e->listed_end = &it->next_listed;
    e->listed_count++;
}

void watch_unlist(struct entry *it) {
    struct ep *e = it->ep;
    if (!it->link_listed) {
        return;
    }
    *it->link_listed = it->next_listed;
    if (it->next_listed) {
        it->next_listed->link_listed = it->link_listed;
    } else {
        e->listed_end = it->link_listed;
    }
    it->link_listed = NULL;
    e->listed_count--;
}

// --- Entries ---

struct entry *watch_find(const struct ep *e, int fd, const struct psock *s) {
    for (struct entry *it = s->entries; it; it = it->of_sock) {
        if (it->ep == e && it->fd == fd) {
            return it;
        }
    }
    return NULL;
}

struct entry *watch_add(struct ep *e, int fd, struct psock *s) {
    struct entry *it = calloc(1, sizeof *it);
    if (!it) {
        return NULL;
    }
    it->sock = s;
    it->ep = e;
    it->fd = fd;
    it->of_sock = s->entries;
    s->entries = it;
    it->next = e->entries;
    it->link = &e->entries;
    if (it->next) {
        it->next->link = &it->next;
    }
    e->entries = it;
    e->count++;
    // Before it is looked at: what is told from then on counts.
    atomic_store(&s->watched, true);
    watch_list(it);
    return it;
}

void watch_remove(struct entry *it) {
    struct entry **at = &it->sock->entries;
    while (*at != it) {
        at = &(*at)->of_sock;
    }
    *at = it->of_sock;
    *it->link = it->next;
    if (it->next) {
        it->next->link = it->link;
    }
    watch_unlist(it);
    it->ep->count--;
    free(it);
}

// --- Sorting ---

static void list_all_of(struct psock *s) {
    for (struct entry *it = s->entries; it; it = it->of_sock) {
        own_lock(&it->ep->lock);
        watch_list(it);
        own_unlock(&it->ep->lock);
    }
}

static void sort_marked(void) {
    // Whoever finds no mark, and nobody sorting, finds all that was marked in
    // its list.
    if (!atomic_load(&marked) && !atomic_load(&sorting)) {
        return;
    }
    own_lock(&lock);
    atomic_store(&sorting, 1);
    struct psock *s = atomic_exchange(&marked, NULL);
    while (s) {
        struct psock *next = s->next_marked;
        atomic_store(&s->marked, false); // what comes now marks it again
        list_all_of(s);
        s = next;
    }
    atomic_store(&sorting, 0);
    own_unlock(&lock);
}

// Under the instance's lock.
static void list_all_in(struct ep *e) {
    for (struct entry *it = e->entries; it; it = it->next) {
        watch_list(it);
    }
}

// Sockets that a fork left us become our own, under no lock.
static void use_inherited(struct ep *e) {
    own_lock(&e->lock);
    size_t count = 0;
    struct psock **all = calloc((size_t)e->count + 1u, sizeof(struct psock *));
    for (struct entry *it = e->entries; all && it; it = it->next) {
        all[count++] = it->sock;
    }
    own_unlock(&e->lock);
    for (size_t i = 0; i < count; i++) {
        if (all[i]->kind == PSOCK_INHERITED) {
            psock_use(all[i]);
        }
    }
    free((void *)all);
}

void watch_sort(struct ep *e) {
    struct plink *l = link_if_open();
    if (l) {
        far_link_take(l->near);
    }
    sort_marked();
    uint32_t now_forks = atomic_load(&forks);
    uint32_t now_deaths = link_deaths();
    if (e->forks != now_forks) {
        use_inherited(e);
    }
    own_lock(&e->lock);
    if (e->forks != now_forks || e->deaths != now_deaths) {
        e->forks = now_forks;
        e->deaths = now_deaths;
        list_all_in(e);
    }
    own_unlock(&e->lock);
}

// In a child, where no other thread is.
void watch_after_fork(struct ep *all) {
    atomic_store(&marked, NULL);
    atomic_store(&sorting, 0);
    atomic_fetch_add(&forks, 1);
    for (struct ep *e = all; e; e = e->next) {
        for (struct entry *it = e->entries; it; it = it->next) {
            it->sock->marked = false;
        }
    }
}
