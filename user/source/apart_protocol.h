/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apart_protocol.h - what the daemon and its probe process say to each other.
 * For source/apart.c and source/apart_probe.c only.
 *
 * One socket pair of whole messages. The daemon asks one thing at a time and
 * waits for the DONE; EVENT and BURST may come at any time, also before it. A
 * DONE that follows a sample carries, where it is a new one, the memory file in
 * which the sample lies, as a descriptor.
 *
 * Layer:   source
 * State:   none
 * Threads: any
 */
#pragma once
#include "source/live.h"

#include <stdint.h>

enum vs_apart_type {
	/* to the probe */
	VS_APART_START = 1,
	VS_APART_SAMPLE, /* value: an enum vs_look */
	VS_APART_WINDOW, /* value: open or close; no DONE follows */
	VS_APART_DEEP_OPEN,
	VS_APART_DEEP_READ,
	VS_APART_DEEP_CLOSE, /* no DONE follows */
	VS_APART_END,	     /* last events, then the end of the socket follow */
	/* from the probe */
	VS_APART_DONE,	/* status; value: bytes in the memory file; of a start: number is the
			 * tier, text why it is not a better one */
	VS_APART_EVENT, /* text: {"type", "severity", "vm": {"name", "uuid", "pid"} or null, "data"} */
	VS_APART_BURST, /* value: the vNIC's uid, number: raw reason */
};

#define VS_APART_TEXT__N 32768

struct vs_apart_message {
	uint32_t type;
	int32_t status; /* 0 or -errno */
	uint64_t value;
	uint32_t number;
	uint32_t text_n; /* bytes of text, no NUL */
	char text[VS_APART_TEXT__N];
};

/* Sends it up to the end of its text. @with_fd: -1 for none. Return: 0 or -errno. */
int vs_apart_send(int fd, const struct vs_apart_message *m, int with_fd, int flags);
/* Waits with @flags 0. @ret_fd: set, -1 for none; whoever is not prepared for one gives NULL.
 * Return: 0, -EPIPE at its end, -EBADMSG, or another -errno. */
int vs_apart_receive(int fd, struct vs_apart_message *ret, int *ret_fd, int flags);

/**
 * vs_apart_probe_main() - the life of the probe process.
 * @fd:       socket to the daemon
 * @lifeline: read end of a pipe that nobody writes to; the kernel kills this
 *            process when its other end goes, that is with the daemon
 *
 * Takes both. Return: status to exit with. Logs: yes.
 */
int vs_apart_probe_main(int fd, int lifeline, const struct vs_live_options *options);
