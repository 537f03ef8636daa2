/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netns.h - visiting network namespaces without keeping them alive.
 *
 * A descriptor or socket in a foreign namespace pins it: everything here is
 * opened for one visit and closed at its end.
 *
 * Layer:   discover
 * State:   the namespace of the calling thread, restored by vs_netns_return()
 * Threads: the caller's own namespace changes during a visit, nobody else's
 */
#pragma once
#include <stdint.h>

/* Cookie of the thread's current namespace, its inode number where the kernel
 * tells no cookie (before 5.14). Return: 0 or -errno. */
int vs_netns_cookie(uint64_t *ret);

/* The cookie of the namespace that a socket is of, likewise. */
int vs_netns_cookie_of(int socket_fd, uint64_t *ret);

/*
 * A tour goes from namespace to namespace and home at its end: to go home in
 * between costs as much as a visit. VS_NETNS_TOUR before the first visit.
 */
struct vs_netns_tour {
	int home_fd;  /* of the namespace to return to; -1: we have not left it */
	int links_fd; /* rtnetlink in @here */
	uint64_t here; /* cookie of the namespace visited; 0: links_fd is of none */
};
#define VS_NETNS_TOUR { .home_fd = -1, .links_fd = -1 }

/**
 * vs_netns_visit() - go on to the namespace with @cookie, with an rtnetlink socket.
 * @pid:    a process that holds the tap
 * @tun_fd: its descriptor number of the tap
 *
 * Tries the process's own namespace, then the one that the tap itself names.
 * The socket is @tour->links_fd, and is closed with the next visit. Nothing is done
 * where it is the namespace visited last.
 * Return: 0, -ENOENT if neither is the one asked for, or -errno; then links_fd is
 * -1, but vs_netns_return() must follow in any case. Logs: never.
 */
int vs_netns_visit(struct vs_netns_tour *tour, uint32_t pid, uint32_t tun_fd, uint64_t cookie);
/* Ends a tour, also one that went nowhere. Logs: when there is no way home. */
void vs_netns_return(struct vs_netns_tour *tour);

/* A copy of descriptor @fd of process @pid, or -errno. The caller closes it. */
int vs_netns_borrow_fd(uint32_t pid, uint32_t fd);
