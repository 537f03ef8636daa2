/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an installed daemon shows too slowly: tests/e2e/test_metrics.py has the rest. */
#include "unit.h"

#include "base/clock.h"
#include "serve/http.h"
#include "serve/http_guard.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct site {
	struct vs_loop *loop;
	struct vs_http *http;
	struct vs_sample sample;
	int timer, cancelled;
};

static void *begin_report(void *data, bool deep)
{
	(void)deep;
	return data;
}

static json_t *finish_report(void *data, void *request)
{
	assert_ptr_equal(data, request);
	return json_pack("{s:s}", "schema", "x");
}

static void cancel_report(void *data, void *request)
{
	struct site *s = data;

	(void)request;
	s->cancelled++;
}

static void on_timer(void *data, int fd)
{
	struct site *s = data;

	(void)fd;
	vs_loop_stop(s->loop);
}

static void open_site(struct site *s)
{
	const struct vs_http_options o = { .listen = "127.0.0.1:0" };
	const struct vs_http_ops ops = { begin_report, finish_report, cancel_report, s };
	int saved = unit_hush();

	memset(s, 0, sizeof(*s));
	assert_int_equal(vs_loop_new(&s->loop), 0);
	assert_int_equal(vs_http_new(s->loop, &o, &ops, &s->http), 0);
	unit_unhush(saved);
}

static void close_site(struct site *s)
{
	vs_http_free(&s->http);
	vs_loop_free(&s->loop);
	vs_sample_done(&s->sample);
}

struct client {
	struct site *site;
	char answer[4096];
	size_t len;
};

static void on_answer(void *data, int fd)
{
	struct client *c = data;
	ssize_t n = recv(fd, c->answer + c->len, sizeof(c->answer) - 1 - c->len, MSG_DONTWAIT);

	if (n > 0)
		c->len += (size_t)n;
	c->answer[c->len] = '\0';
	if (n <= 0)
		vs_loop_stop(c->site->loop);
}

static int ask(struct site *s, const char *path)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(vs_http_port(s->http)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(fd, text, (size_t)n, 0), n);
	return fd;
}

/* Turns the loop until the answer has come. Return: its status. */
static int get(struct site *s, const char *path, struct client *c)
{
	int fd = ask(s, path), status;

	*c = (struct client){ .site = s };
	assert_int_equal(vs_loop_add(s->loop, fd, on_answer, c), 0);
	assert_int_equal(vs_loop_run(s->loop), 0);
	vs_loop_remove(s->loop, fd);
	(void)close(fd);
	/* a loop that was stopped is not run again */
	assert_int_equal(sscanf(c->answer, "HTTP/1.1 %d", &status), 1);
	return status;
}

static void is_ready_from_the_first_sample_on(void **state)
{
	struct client c;
	struct site s;

	(void)state;
	open_site(&s);
	assert_int_equal(get(&s, "/readyz", &c), 503);
	close_site(&s);
	open_site(&s);
	assert_int_equal(get(&s, "/metrics", &c), 503);
	close_site(&s);
	open_site(&s);
	assert_int_equal(get(&s, "/healthz", &c), 200);
	close_site(&s);
	open_site(&s);
	vs_http_tick(s.http, &s.sample);
	assert_int_equal(get(&s, "/readyz", &c), 200);
	close_site(&s);
	open_site(&s);
	vs_http_tick(s.http, &s.sample);
	assert_int_equal(get(&s, "/metrics", &c), 200);
	assert_non_null(strstr(c.answer, "virtscope_build_info"));
	close_site(&s);
}

static void a_page_counts_as_read_for_two_minutes(void **state)
{
	struct client c;
	struct site s;

	(void)state;
	open_site(&s);
	for (int i = 0; i < 200; i++)
		vs_http_tick(s.http, &s.sample);
	assert_false(vs_http_is_read(s.http));
	assert_int_equal(get(&s, "/metrics", &c), 200);
	assert_true(vs_http_is_read(s.http));
	for (int i = 0; i < 120; i++)
		vs_http_tick(s.http, &s.sample);
	assert_true(vs_http_is_read(s.http));
	vs_http_tick(s.http, &s.sample);
	assert_false(vs_http_is_read(s.http));
	close_site(&s);
	assert_false(vs_http_is_read(NULL));
}

static void is_not_ready_when_samples_fail_to_come(void **state)
{
	struct client c;
	struct site s;

	(void)state;
	open_site(&s);
	vs_http_tick(s.http, &s.sample);
	(void)poll(NULL, 0, VS_HTTP_READY_TICKS * 1000 + 100);
	vs_http_tick(s.http, NULL);
	assert_int_equal(get(&s, "/readyz", &c), 503);
	assert_non_null(strstr(c.answer, "too old"));
	close_site(&s);
}

static void a_report_under_way_is_cancelled_at_the_end(void **state)
{
	struct site s;
	int fd;

	(void)state;
	open_site(&s);
	fd = ask(&s, "/api/v1/report?duration=60");
	s.timer = vs_loop_timer(s.loop, on_timer, &s);
	vs_loop_arm(s.timer, 200000000);
	assert_int_equal(vs_loop_run(s.loop), 0);
	vs_http_free(&s.http);
	assert_int_equal(s.cancelled, 1);
	(void)close(fd);
	close_site(&s);
}

static void a_report_is_what_was_measured(void **state)
{
	struct client c;
	struct site s;

	(void)state;
	open_site(&s);
	assert_int_equal(get(&s, "/api/v1/report?duration=0.01", &c), 200);
	assert_non_null(strstr(c.answer, "\r\n\r\n{\"schema\":\"x\"}"));
	assert_int_equal(s.cancelled, 0);
	close_site(&s);
}

static int opens(const char *listen, const char *token_file)
{
	const struct vs_http_options o = { .listen = listen, .token_file = token_file };
	struct vs_http_guard g;
	int saved = unit_hush(), r = vs_http_guard_open(&o, &g);

	unit_unhush(saved);
	if (!r)
		vs_http_guard_close(&g);
	return r;
}

static void only_own_addresses_go_without_tls_and_token(void **state)
{
	static const char *const own[] = { "127.0.0.1:0", "127.1.2.3:0", "localhost:0" };
	static const char *const others[] = { "0.0.0.0:0", "[::]:0", "10.1.2.3:0", "128.0.0.1:0",
					      "[::ffff:127.0.0.1]:0", "126.255.255.255:0" };
	static const char *const wrong[] = { "",	  ":9752",     "127.0.0.1",    "127.0.0.1:",
					     "127.0.0.1:x", "127.0.0.1:65536", "::1:9752", "[::1]",
					     "example.org:80", "127.0.0.1:-1", "127.0.0.1: 80" };

	(void)state;
	for (size_t i = 0; i < COUNT(own); i++)
		assert_int_equal(opens(own[i], NULL), 0);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_int_equal(opens(others[i], NULL), -EACCES);
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(opens(wrong[i], NULL), -EINVAL);
}

static void a_token_is_one_long_line_that_not_everybody_reads(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		int result;
	} tokens[] = {
		{ "0123456789abcdef\n", 0600, 0 },	   { "0123456789abcdef", 0640, 0 },
		{ "0123456789abcdef\n", 0644, -EACCES },   { "0123456789abcdef\n", 0602, -EACCES },
		{ "0123456789abcde\n", 0600, -EINVAL },	   { "", 0600, -EINVAL },
		{ "0123456789 abcdef0\n", 0600, -EINVAL }, { "0123456789abcdef\nx\n", 0600, -EINVAL },
	};
	char *dir = unit_make_dir(), path[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/token", dir);
	for (size_t i = 0; i < COUNT(tokens); i++) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		(void)fputs(tokens[i].text, f);
		(void)fclose(f);
		assert_int_equal(chmod(path, tokens[i].mode), 0);
		assert_int_equal(opens("127.0.0.1:0", path), tokens[i].result);
	}
	assert_int_equal(opens("127.0.0.1:0", "/nonexistent"), -ENOENT);
	unit_remove_dir(dir, (const char *const[]){ "token", NULL });
}

static void only_the_token_is_admitted(void **state)
{
	char token[] = "0123456789abcdef";
	const struct vs_http_guard g = { .token = token, .token_len = strlen(token) };
	const struct vs_http_guard open_to_all = { 0 };

	(void)state;
	assert_true(vs_http_guard_admits(&g, "Bearer 0123456789abcdef"));
	assert_true(vs_http_guard_admits(&g, "bearer 0123456789abcdef"));
	assert_false(vs_http_guard_admits(&g, NULL));
	assert_false(vs_http_guard_admits(&g, ""));
	assert_false(vs_http_guard_admits(&g, "Bearer "));
	assert_false(vs_http_guard_admits(&g, "Bearer 0"));
	assert_false(vs_http_guard_admits(&g, "Bearer 0123456789abcdee"));
	assert_false(vs_http_guard_admits(&g, "Bearer 0123456789abcdef0123456789abcdef"));
	assert_false(vs_http_guard_admits(&g, "Basic 0123456789abcdef"));
	assert_true(vs_http_guard_admits(&open_to_all, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_ready_from_the_first_sample_on),
		cmocka_unit_test(a_page_counts_as_read_for_two_minutes),
		cmocka_unit_test(is_not_ready_when_samples_fail_to_come),
		cmocka_unit_test(a_report_under_way_is_cancelled_at_the_end),
		cmocka_unit_test(a_report_is_what_was_measured),
		cmocka_unit_test(only_own_addresses_go_without_tls_and_token),
		cmocka_unit_test(a_token_is_one_long_line_that_not_everybody_reads),
		cmocka_unit_test(only_the_token_is_admitted),
	};

	return cmocka_run_group_tests_name("serve/http", tests, NULL, NULL);
}
