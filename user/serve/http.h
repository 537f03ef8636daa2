/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http.h - the HTTP server: /metrics, /healthz, /readyz, /api/v1/report, and / with
 * the list of them.
 *
 * libmicrohttpd without a thread: its epoll descriptor is one of the loop's. What
 * takes long (a page, a report) is done in steps or waited for with the connection
 * suspended; clients that stall are cut off; so nobody delays a sample.
 *
 * Layer:   serve
 * State:   struct vs_http
 * Threads: one
 */
#pragma once
#include "base/loop.h"
#include "serve/exports.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define VS_HTTP_LISTEN	     "127.0.0.1:9752" /* where the packaged configuration listens */
#define VS_HTTP_CONNECTIONS  32 /* at a time */
#define VS_HTTP_PER_ADDRESS  16 /* of them from one address */
#define VS_HTTP_SILENCE_S    10 /* a connection on which nothing moves ends */
#define VS_HTTP_REQUEST_S    30 /* and so does one whose request takes so long, moving or not */
#define VS_HTTP_REPORTS	     4	/* being measured at a time */
#define VS_HTTP_DURATION_MAX 60.0
#define VS_HTTP_READY_TICKS  3 /* a sample older than so many s: not ready */

struct vs_http_options {
	const char *listen; /* ADDR:PORT, [ADDR6]:PORT; NULL or "none": no server. Default: none */
	const char *tls_certificate, *tls_key; /* PEM files. Default: no TLS */
	const char *token_file; /* one line; asked for as "Authorization: Bearer …". Default: none */
	struct vs_exports_options exports; /* see there */
};

/* A report, as for the control socket: begin() takes the older sample, finish() builds
 * the report (new reference, NULL on failure), cancel() forgets it. */
struct vs_http_ops {
	void *(*begin)(void *data, bool deep);
	json_t *(*finish)(void *data, void *request);
	void (*cancel)(void *data, void *request);
	void *data;
};

struct vs_http;

/**
 * vs_http_new() - listen.
 * @ret: NULL where options say that there is no server
 *
 * Return: 0 or -errno: see vs_http_guard_open(). Logs: yes.
 */
int vs_http_new(struct vs_loop *loop, const struct vs_http_options *options,
		const struct vs_http_ops *ops, struct vs_http **ret);
/* Ends all connections. Before the source that reports are measured with. */
void vs_http_free(struct vs_http **http);

/* The following do nothing where @http is NULL. */

/* Once a second. @sample: borrowed until the next call; NULL: it could not be taken. */
void vs_http_tick(struct vs_http *http, const struct vs_sample *sample);

/* Whether anybody reads the page: see vs_page_is_read(). */
bool vs_http_is_read(const struct vs_http *http);

/* Whether the next sample should be a whole one: see vs_page_wants_whole(). */
bool vs_http_wants_whole(struct vs_http *http);

/* SIGHUP: what of the series can change while it serves. Return: 0 or -errno, then all
 * stays as it was. Logs: yes. */
int vs_http_configure(struct vs_http *http, const struct vs_exports_options *options);

/* The port it listens at. */
uint16_t vs_http_port(const struct vs_http *http);
