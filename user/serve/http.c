/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/http.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/http_guard.h"
#include "serve/page.h"

#include <errno.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#define TEXT "text/plain; charset=utf-8"
#define SUMMARY "virtscope " VS_VERSION "\n\n" PATHS
#define PATHS                                                                                      \
	"/metrics                      for Prometheus\n"                                           \
	"/api/v1/report?duration=S     a report over S seconds, JSON\n"                            \
	"/healthz                      200 while the daemon's loop turns\n"                        \
	"/readyz                       200 while it measures\n"
#define MEMORY_EACH 16384

/* A connection; it may carry many requests, one after the other. */
struct client {
	int fd;
	uint64_t deadline_ns;
	struct client *prev, *next;
};

struct request {
	struct vs_http *http;
	struct MHD_Connection *connection;
	struct client *client;
	bool suspended;
	uint64_t number; /* of the sample that it wants to see; 0: none */
	void *report;	 /* being measured */
	int timer;
	struct MHD_Response *measured; /* the report; ours until it is queued */
	struct request *prev, *next;
};

struct vs_http {
	struct vs_loop *loop;
	struct vs_http_ops ops;
	struct vs_http_guard guard;
	struct MHD_Daemon *daemon;
	struct vs_page *page;
	struct request *requests;
	struct client *clients;
	uint32_t reports;
	uint64_t sampled_ns; /* the last sample; 0: none yet */
	int epoll_fd, timer;
	uint16_t port;
	bool closing;
};

static void run(void *data, int fd)
{
	struct vs_http *h = data;
	MHD_UNSIGNED_LONG_LONG ms;

	(void)fd;
	(void)MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		vs_loop_arm(h->timer, ms * 1000000ull);
}

static void suspend(struct request *q)
{
	q->suspended = true;
	MHD_suspend_connection(q->connection);
}

static void resume(struct request *q)
{
	if (!q->suspended)
		return;
	q->suspended = false;
	MHD_resume_connection(q->connection);
	vs_loop_arm(q->http->timer, 0);
}

static void on_page(void *data)
{
	struct vs_http *h = data;
	struct request *q;

	DL_FOREACH(h->requests, q)
	{
		if (q->number)
			resume(q);
	}
}

static enum MHD_Result queue(struct request *q, unsigned int status, struct MHD_Response *response)
{
	struct vs_own *own = vs_page_own(q->http->page);

	own->http_requests++;
	own->http_refused += status >= 400;
	/* What it takes to read is the client's affair, within the same limit. */
	q->client->deadline_ns = vs_clock_mono_ns() + VS_HTTP_REQUEST_S * VS_NS_PER_S;
	return MHD_queue_response(q->connection, status, response);
}

/* @header, @value: one more, or NULL */
static enum MHD_Result say(struct request *q, unsigned int status, const char *text,
			   const char *header, const char *value)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, TEXT);
	(void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (header)
		(void)MHD_add_response_header(r, header, value);
	result = queue(q, status, r);
	MHD_destroy_response(r);
	return result;
}

static bool is_ready(const struct vs_http *h)
{
	return h->sampled_ns &&
	       vs_clock_mono_ns() - h->sampled_ns <= VS_HTTP_READY_TICKS * VS_NS_PER_S;
}

static enum MHD_Result readyz(struct request *q)
{
	if (is_ready(q->http))
		return say(q, MHD_HTTP_OK, "ready\n", NULL, NULL);
	return say(q, MHD_HTTP_SERVICE_UNAVAILABLE,
		   q->http->sampled_ns ? "not ready: the last sample is too old\n"
				       : "not ready: no sample has been taken yet\n",
		   "Retry-After", "1");
}

static enum MHD_Result metrics(struct request *q)
{
	struct MHD_Response *page;

	if (!q->number)
		q->number = vs_page_number(q->http->page);
	switch (q->number ? vs_page_get(q->http->page, q->number, &page) : -ENOENT) {
	case 0:
		return queue(q, MHD_HTTP_OK, page);
	case -EAGAIN:
		suspend(q);
		return MHD_YES;
	case -ENOENT:
		return readyz(q);
	case -EBUSY:
		return say(q, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "clients that read slowly hold too many pages\n", "Retry-After", "5");
	default:
		return say(q, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the page\n",
			   "Retry-After", "5");
	}
}

static void on_measured(void *data, int timer)
{
	struct request *q = data;
	struct vs_http *h = q->http;
	json_t *report = h->ops.finish(h->ops.data, q->report);
	char *text = report ? json_dumps(report, JSON_COMPACT) : NULL;

	vs_loop_remove(h->loop, timer);
	json_decref(report);
	q->timer = -1;
	q->report = NULL; /* finish() has taken it */
	h->reports--;
	if (text)
		q->measured =
			MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!q->measured) {
		vs_warn("build a report for an HTTP client failed, ignoring");
		free(text);
	}
	resume(q);
}

static enum MHD_Result measure(struct request *q, double duration_s)
{
	struct vs_http *h = q->http;

	if (h->reports == VS_HTTP_REPORTS)
		return say(q, MHD_HTTP_SERVICE_UNAVAILABLE, "enough reports are being measured\n",
			   "Retry-After", "5");
	q->timer = vs_loop_timer(h->loop, on_measured, q);
	q->report = q->timer >= 0 ? h->ops.begin(h->ops.data, false) : NULL;
	if (!q->report)
		return say(q, MHD_HTTP_SERVICE_UNAVAILABLE, "no report can be measured now\n",
			   "Retry-After", "5");
	h->reports++;
	q->client->deadline_ns += (uint64_t)(duration_s * 1e9);
	vs_loop_arm(q->timer, (uint64_t)(duration_s * 1e9));
	suspend(q);
	return MHD_YES;
}

static enum MHD_Result report(struct request *q)
{
	const char *text =
		MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, "duration");
	double s = 1;
	char *end;

	if (q->measured) {
		(void)MHD_add_response_header(q->measured, MHD_HTTP_HEADER_CONTENT_TYPE,
					      "application/json");
		return queue(q, MHD_HTTP_OK, q->measured);
	}
	if (text) {
		s = strtod(text, &end);
		if (end == text || *end || !isfinite(s) || s < 0.01 || s > VS_HTTP_DURATION_MAX)
			return say(q, MHD_HTTP_BAD_REQUEST,
				   "duration must be a number of seconds from 0.01 to 60\n", NULL,
				   NULL);
	}
	return measure(q, s);
}

static enum MHD_Result answer(struct request *q, const char *url, const char *method)
{
	const char *authorization = MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND,
								MHD_HTTP_HEADER_AUTHORIZATION);

	if (!vs_http_guard_admits(&q->http->guard, authorization))
		return say(q, MHD_HTTP_UNAUTHORIZED, "this takes the token of metrics.token_file\n",
			   MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"virtscope\"");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(q, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n", MHD_HTTP_HEADER_ALLOW,
			   "GET, HEAD");
	if (strcmp(url, "/metrics") == 0)
		return metrics(q);
	if (strcmp(url, "/healthz") == 0)
		return say(q, MHD_HTTP_OK, "ok\n", NULL, NULL);
	if (strcmp(url, "/readyz") == 0)
		return readyz(q);
	if (strcmp(url, "/api/v1/report") == 0)
		return report(q);
	if (strcmp(url, "/") == 0)
		return say(q, MHD_HTTP_OK, SUMMARY, NULL, NULL);
	return say(q, MHD_HTTP_NOT_FOUND, "there is no such page; there are:\n" PATHS, NULL, NULL);
}

/* Called when the head of a request is there, and again when it was suspended. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **con_cls)
{
	struct request *q = *con_cls;
	const union MHD_ConnectionInfo *info;

	(void)version;
	(void)upload;
	if (((struct vs_http *)data)->closing)
		return MHD_NO;
	if (*upload_size) { /* a body: nobody asked for it */
		*upload_size = 0;
		return MHD_YES;
	}
	if (q)
		return answer(q, url, method);
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	q = info && info->socket_context ? calloc(1, sizeof(*q)) : NULL;
	if (!q)
		return MHD_NO;
	q->http = data;
	q->connection = connection;
	q->client = info->socket_context;
	q->timer = -1;
	DL_APPEND(q->http->requests, q);
	*con_cls = q;
	return MHD_YES;
}

static void forget_report(struct request *q)
{
	if (q->timer >= 0)
		vs_loop_remove(q->http->loop, q->timer);
	q->timer = -1;
	if (!q->report)
		return;
	q->http->ops.cancel(q->http->ops.data, q->report);
	q->report = NULL;
	q->http->reports--;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode why)
{
	struct vs_http *h = data;
	struct request *q = *con_cls;

	(void)connection;
	(void)why;
	if (!q)
		return;
	forget_report(q);
	if (q->measured)
		MHD_destroy_response(q->measured);
	q->client->deadline_ns = vs_clock_mono_ns() + VS_HTTP_REQUEST_S * VS_NS_PER_S;
	DL_DELETE(h->requests, q);
	free(q);
	*con_cls = NULL;
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct vs_http *h = data;
	struct client *c = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return; /* its requests will be refused */
		c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd;
		c->deadline_ns = vs_clock_mono_ns() + VS_HTTP_REQUEST_S * VS_NS_PER_S;
		DL_APPEND(h->clients, c);
		*context = c;
	} else if (c) {
		DL_DELETE(h->clients, c);
		free(c);
		*context = NULL;
	}
}

static void on_message(void *data, const char *fmt, va_list ap)
{
	char text[256];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	(void)data;
	while (n > 0 && n < (int)sizeof(text) && text[n - 1] == '\n')
		text[--n] = '\0';
	vs_debug("http: %s", text);
}

static int start(struct vs_http *h)
{
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_KEY, 0, h->guard.key},
		{MHD_OPTION_HTTPS_MEM_CERT, 0, h->guard.certificate},
		{MHD_OPTION_END, 0, NULL},
	};
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	const union MHD_DaemonInfo *info;

	if (h->guard.key)
		flags |= MHD_USE_TLS;
	h->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
		MHD_OPTION_LISTEN_SOCKET, h->guard.fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT,
		VS_HTTP_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT, VS_HTTP_PER_ADDRESS,
		MHD_OPTION_CONNECTION_TIMEOUT, VS_HTTP_SILENCE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_EACH, MHD_OPTION_ARRAY,
		h->guard.key ? tls : &tls[2], MHD_OPTION_END);
	if (!h->daemon)
		return vs_fail(EINVAL, "metrics: start the HTTP server%s",
			       h->guard.key
				       ? ": are tls_certificate and tls_key PEM, and of each other?"
				       : "");
	h->guard.fd = -1; /* the server's now */
	h->port = h->guard.port;
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	h->epoll_fd = info ? info->epoll_fd : -1;
	h->timer = vs_loop_timer(h->loop, run, h);
	if (h->timer < 0 || h->epoll_fd < 0 || vs_loop_add(h->loop, h->epoll_fd, run, h))
		return vs_fail(ENOMEM, "metrics: bring the HTTP server into the loop");
	return 0;
}

int vs_http_new(struct vs_loop *loop, const struct vs_http_options *options,
		const struct vs_http_ops *ops, struct vs_http **ret)
{
	struct vs_http *h;
	int r;

	if (!options->listen || strcmp(options->listen, "none") == 0) {
		*ret = NULL;
		return 0;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->ops = *ops;
	h->epoll_fd = h->timer = h->guard.fd = -1;
	r = vs_http_guard_open(options, &h->guard);
	if (!r)
		r = vs_page_new(loop, &options->exports, on_page, h, &h->page);
	if (!r)
		r = start(h);
	if (r) {
		vs_http_free(&h);
		return r;
	}
	vs_info("metrics: http%s://%s/metrics, port %u", h->guard.key ? "s" : "", options->listen,
		h->port);
	*ret = h;
	return 0;
}

void vs_http_free(struct vs_http **http)
{
	struct vs_http *h = *http;
	struct request *q;

	if (!h)
		return;
	h->closing = true;
	/* The server may not be stopped while a connection is suspended. */
	DL_FOREACH(h->requests, q)
	{
		forget_report(q);
		(void)shutdown(q->client->fd, SHUT_RDWR);
		resume(q);
	}
	if (h->epoll_fd >= 0)
		vs_loop_remove(h->loop, h->epoll_fd);
	if (h->daemon) {
		(void)MHD_run(h->daemon);
		MHD_stop_daemon(h->daemon);
	}
	if (h->timer >= 0)
		vs_loop_remove(h->loop, h->timer);
	vs_page_free(&h->page);
	vs_http_guard_close(&h->guard);
	free(h);
	*http = NULL;
}

void vs_http_tick(struct vs_http *h, const struct vs_sample *sample)
{
	uint64_t now = vs_clock_mono_ns();
	struct client *c;

	if (!h)
		return;
	if (sample)
		h->sampled_ns = now;
	vs_page_tick(h->page, sample);
	/* The server's own limit is on silence: a byte now and then would do. */
	DL_FOREACH(h->clients, c)
	{
		if (now > c->deadline_ns)
			(void)shutdown(c->fd, SHUT_RDWR);
	}
}

bool vs_http_is_read(const struct vs_http *h)
{
	return h && vs_page_is_read(h->page);
}

bool vs_http_wants_whole(struct vs_http *h)
{
	return h && vs_page_wants_whole(h->page);
}

int vs_http_configure(struct vs_http *h, const struct vs_exports_options *options)
{
	return h ? vs_page_configure(h->page, options) : 0;
}

uint16_t vs_http_port(const struct vs_http *h)
{
	return h ? h->port : 0;
}
