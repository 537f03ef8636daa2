/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * links.h - rtnetlink: exact totals of a link, and word of links that come and go.
 *
 * Layer:   discover
 * State:   none but the sockets, which are the caller's
 * Threads: any
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* As the guest sees them, by VS_DIR_*: rx is what the tap transmitted. */
struct vs_link_stats {
	uint64_t packets[2];
	uint64_t bytes[2];
	uint64_t dropped[2];
};

/* A socket for vs_links_stats() in the thread's namespace, or -errno. */
int vs_links_open(void);

/* RTM_GETSTATS of one link. Return: 0, -ENODEV, or -errno. Logs: never. */
int vs_links_stats(int fd, uint32_t ifindex, struct vs_link_stats *ret);

/* A non-blocking socket that hears of links in the thread's namespace. */
int vs_links_monitor_open(void);

/**
 * vs_links_monitor_read() - empty the socket.
 *
 * Return: 1 if a tap came or went (or messages were lost), else 0.
 */
int vs_links_monitor_read(int fd);
