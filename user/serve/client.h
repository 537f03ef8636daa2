/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.h - one connection to the control socket, between control.c (which
 * accepts, reads lines and hangs up) and the requests (which answer).
 *
 * Layer:   serve; for serve/control*.c only
 * State:   struct vs_control, struct vs_client
 * Threads: one
 *
 * To add a request: 1. write control_NAME.c with a struct vs_request_ops and declare
 * it below; 2. name it in control.c's table; 3. describe it in control.h.
 */
#pragma once
#include "serve/control.h"

#include <sys/un.h>

#define VS_CLIENTS__N 16
/* A name of 255 bytes, each escaped as six, and more. */
#define VS_REQUEST__N 4096

struct vs_client;

struct vs_request_ops {
	const char *name;
	/* @asked: the whole line. Return: the request's own state, NULL to hang up. */
	void *(*begin)(struct vs_client *c, const json_t *asked);
	/* A line that came later. Return: false to hang up. */
	bool (*line)(struct vs_client *c, const char *line);
	/* The socket takes bytes again, after vs_client_want_write(); may be NULL.
	 * May hang up. */
	void (*writable)(struct vs_client *c);
	/* A new event was remembered; may be NULL. May hang up. */
	void (*event)(struct vs_client *c);
	/* Frees the state, on hanging up. */
	void (*end)(struct vs_client *c);
};

struct vs_client {
	struct vs_control *control;
	int fd; /* -1: free */
	const struct vs_request_ops *request; /* being answered, or NULL */
	void *state;			      /* its */
	size_t got;
	char line[VS_REQUEST__N];
};

struct vs_control {
	struct vs_loop *loop;
	struct vs_control_ops ops;
	int listen_fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct vs_client clients[VS_CLIENTS__N];
};

/* Ends the request, if any, and closes. */
void vs_client_hang_up(struct vs_client *c);
/* Whether writable() is to be called as long as the socket takes bytes. */
void vs_client_want_write(struct vs_client *c, bool want);

/* Return: 0 or -ENAMETOOLONG. */
int vs_control_address(const char *path, struct sockaddr_un *ret);

extern const struct vs_request_ops vs_request_report;
extern const struct vs_request_ops vs_request_events;
