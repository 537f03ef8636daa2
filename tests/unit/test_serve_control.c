/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon runs in a child process: its loop, its socket, a report that says
 * how it was asked for. */
#include "unit.h"

#include "base/clock.h"
#include "serve/ask.h"
#include "serve/control.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

struct place {
	char *dir;
	char path[100];
	pid_t daemon;
	int log; /* a byte per begin (b), finish (f), cancel (c) */
	int saved_stderr;
};

static int daemon_log;

static void *begin(void *data, bool deep)
{
	(void)deep;
	(void)!write(daemon_log, "b", 1);
	return data;
}

static json_t *finish(void *data, void *request)
{
	(void)!write(daemon_log, "f", 1);
	return json_pack("{s:b,s:s}", "same", data == request, "text", "\xc3\xa4\n");
}

static void cancel(void *data, void *request)
{
	(void)data;
	(void)request;
	(void)!write(daemon_log, "c", 1);
}

static void be_daemon(const char *path, int ready)
{
	struct vs_control_ops ops = { begin, finish, cancel, &ops, NULL };
	struct vs_control *control;
	struct vs_loop *loop;

	(void)alarm(30); /* never outlives a failed test by much */
	if (vs_loop_new(&loop) || vs_loop_catch_signals(loop) ||
	    vs_control_new(loop, path, &ops, &control))
		_exit(1);
	(void)!write(ready, "r", 1);
	(void)close(ready);
	if (vs_loop_run(loop))
		_exit(2);
	vs_control_free(&control);
	vs_loop_free(&loop);
	_exit(access(path, F_OK) == 0 ? 3 : 0); /* it takes its socket away */
}

static int make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	int ready[2], log[2];
	char c;

	assert_non_null(p);
	p->dir = unit_make_dir();
	(void)snprintf(p->path, sizeof(p->path), "%s/socket", p->dir);
	p->saved_stderr = unit_hush();
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe2(log, O_CLOEXEC), 0);
	p->daemon = fork();
	assert_true(p->daemon >= 0);
	if (p->daemon == 0) {
		(void)close(ready[0]);
		(void)close(log[0]);
		daemon_log = log[1];
		be_daemon(p->path, ready[1]);
	}
	(void)close(ready[1]);
	(void)close(log[1]);
	p->log = log[0];
	assert_int_equal(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	*state = p;
	return 0;
}

static int drop(void **state)
{
	struct place *p = *state;
	int status;

	(void)kill(p->daemon, SIGTERM);
	assert_int_equal(waitpid(p->daemon, &status, 0), p->daemon);
	unit_unhush(p->saved_stderr);
	(void)close(p->log);
	unit_remove_dir(p->dir, (const char *const[]){ "socket", "socket.lock", NULL });
	free(p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

static int dial(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}
#define SAY(fd, text) say(fd, text, sizeof(text) - 1)

/* Return: bytes that came within two seconds, 0: it hung up, -1: nothing. */
static ssize_t hear(int fd, char *text, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, 2000) != 1)
		return -1;
	n = recv(fd, text, size - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return n < 0 ? 0 : n; /* reset: it hung up before it had read all */
}

/* What the daemon did next, in letters. */
static void check_log(const struct place *p, const char *expected)
{
	char text[64] = "";

	for (size_t i = 0; i < strlen(expected); i++) {
		struct pollfd poll_log = { .fd = p->log, .events = POLLIN };

		assert_int_equal(poll(&poll_log, 1, 2000), 1);
		assert_int_equal(read(p->log, text + i, 1), 1);
	}
	assert_string_equal(text, expected);
}

static int readies;

static void on_ready(void)
{
	readies++;
}

static void check_it_still_answers(const struct place *p)
{
	json_t *j = NULL;

	assert_int_equal(vs_ask_report(p->path, 0.05, false, NULL, -1, &j), 0);
	assert_true(json_is_true(json_object_get(j, "same")));
	json_decref(j);
}

static void asking_gives_the_daemons_report(void **state)
{
	struct place *p = *state;
	uint64_t begun_ns = vs_clock_mono_ns();
	json_t *j = NULL;

	readies = 0;
	assert_int_equal(vs_ask_report(p->path, 0.2, false, on_ready, -1, &j), 0);
	assert_true(vs_clock_mono_ns() - begun_ns >= 200000000);
	assert_int_equal(readies, 1);
	assert_true(json_is_true(json_object_get(j, "same")));
	assert_string_equal(json_string_value(json_object_get(j, "text")), "\xc3\xa4\n");
	json_decref(j);
	check_log(p, "bf");
}

static void daemon_answers_again_and_again(void **state)
{
	for (int i = 0; i < 20; i++)
		check_it_still_answers(*state);
}

static void stopping_early_gives_the_report_so_far(void **state)
{
	struct place *p = *state;
	uint64_t begun_ns = vs_clock_mono_ns();
	json_t *j = NULL;
	int stop[2];

	assert_int_equal(pipe(stop), 0);
	assert_int_equal(write(stop[1], "x", 1), 1);
	(void)alarm(20);
	assert_int_equal(vs_ask_report(p->path, 3, false, NULL, stop[0], &j), 0);
	(void)alarm(0);
	assert_true(vs_clock_mono_ns() - begun_ns < 2000000000);
	json_decref(j);
	(void)close(stop[0]);
	(void)close(stop[1]);
}

static void stop_in_one_breath_with_the_request_is_heard(void **state)
{
	struct place *p = *state;
	int fd = dial(p->path);
	char text[64];

	SAY(fd, "{\"request\":\"report\",\"duration\":60}\nstop\n");
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "ready\n"));
	if (!strstr(text, "report\n"))
		assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "report\n"));
	(void)close(fd);
}

static void request_may_come_byte_by_byte(void **state)
{
	static const char request[] = "{\"request\":\"report\",\"duration\":0.05}\n";
	struct place *p = *state;
	int fd = dial(p->path);
	char text[64];

	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		say(fd, request + i, 1);
		(void)usleep(200);
	}
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "ready\n"));
	(void)close(fd);
}

static void client_that_hangs_up_cancels_its_request(void **state)
{
	struct place *p = *state;
	int fd = dial(p->path);
	char text[64];

	SAY(fd, "{\"request\":\"report\",\"duration\":60}\n");
	assert_true(hear(fd, text, sizeof(text)) > 0);
	(void)close(fd);
	check_log(p, "bc");
	check_it_still_answers(p);
}

static void check_hangs_up(const struct place *p, const char *text, size_t len)
{
	int fd = dial(p->path);
	char answer[64];

	say(fd, text, len);
	assert_int_equal(hear(fd, answer, sizeof(answer)), 0);
	(void)close(fd);
}
#define HANGS_UP(text) check_hangs_up(p, text, sizeof(text) - 1)

static void request_that_makes_no_sense_is_hung_up_on(void **state)
{
	struct place *p = *state;

	HANGS_UP("\n");
	HANGS_UP("hello\n");
	HANGS_UP("[]\n");
	HANGS_UP("null\n");
	HANGS_UP("stop\n");
	HANGS_UP("{\"request\":7,\"duration\":1}\n");
	HANGS_UP("{\"request\":\"exit\",\"duration\":1}\n");
	HANGS_UP("{\"request\":\"report\"}\n");
	HANGS_UP("{\"request\":\"report\",\"duration\":\"1\"}\n");
	HANGS_UP("{\"request\":\"report\",\"duration\":0}\n");
	HANGS_UP("{\"request\":\"report\",\"duration\":-1}\n");
	HANGS_UP("{\"request\":\"report\",\"duration\":86401}\n");
	HANGS_UP("{\"request\":\"report\",\"duration\":1e999}\n");
	check_it_still_answers(p);
	check_log(p, "bf"); /* of the last one only */
}

static void line_without_end_is_hung_up_on(void **state)
{
	struct place *p = *state;
	char text[4096];

	memset(text, '{', sizeof(text));
	check_hangs_up(p, text, sizeof(text));
	memset(text, 0, sizeof(text)); /* a NUL ends no line */
	check_hangs_up(p, text, sizeof(text));
	check_it_still_answers(p);
}

static void random_bytes_do_no_harm(void **state)
{
	struct place *p = *state;
	uint64_t seed = 31;

	for (int i = 0; i < 300; i++) {
		char text[600];
		size_t len = 1 + unit_random(&seed) % sizeof(text);
		int fd = dial(p->path);

		for (size_t k = 0; k < len; k++)
			text[k] = (char)(unit_random(&seed) >> 13);
		(void)!send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)close(fd);
	}
	check_it_still_answers(p);
}

static void second_request_on_one_connection_ends_it(void **state)
{
	struct place *p = *state;
	int fd = dial(p->path);
	char text[64];

	SAY(fd, "{\"request\":\"report\",\"duration\":60}\n");
	assert_true(hear(fd, text, sizeof(text)) > 0);
	SAY(fd, "{\"request\":\"report\",\"duration\":60}\n");
	assert_int_equal(hear(fd, text, sizeof(text)), 0);
	(void)close(fd);
	check_log(p, "bc");
}

static void the_17th_client_is_turned_away_and_a_place_comes_free(void **state)
{
	struct place *p = *state;
	int fds[16], fd;
	char text[64];

	for (int i = 0; i < 16; i++) {
		fds[i] = dial(p->path);
		SAY(fds[i], "{\"request\":\"report\",\"duration\":60}\n");
		assert_true(hear(fds[i], text, sizeof(text)) > 0);
	}
	fd = dial(p->path);
	assert_int_equal(hear(fd, text, sizeof(text)), 0);
	(void)close(fd);
	for (int i = 0; i < 16; i++)
		(void)close(fds[i]);
	check_log(p, "bbbbbbbbbbbbbbbb" "cccccccccccccccc");
	check_it_still_answers(p);
}

static void socket_is_closed_to_others(void **state)
{
	struct place *p = *state;
	struct stat st;

	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void without_a_daemon_asking_is_enoent(void **state)
{
	struct place *p = *state;
	json_t *untouched = (void *)0x1, *j = untouched;
	char path[120];

	(void)snprintf(path, sizeof(path), "%s/other", p->dir);
	assert_int_equal(vs_ask_report(path, 1, false, NULL, -1, &j), -ENOENT);
	assert_ptr_equal(j, untouched);
}

static void daemon_that_dies_meanwhile_is_an_error(void **state)
{
	struct place *p = *state;
	pid_t killer = fork();
	json_t *j = NULL;

	if (killer == 0) {
		char c;

		(void)!read(p->log, &c, 1); /* it has begun */
		(void)kill(p->daemon, SIGTERM);
		_exit(0);
	}
	(void)alarm(20);
	assert_true(vs_ask_report(p->path, 60, false, NULL, -1, &j) < 0);
	(void)alarm(0);
	assert_null(j);
	(void)waitpid(killer, NULL, 0);
}

static void second_daemon_is_told_the_firsts_pid(void **state)
{
	struct place *p = *state;
	int ready[2], status;
	pid_t other = 0, first;
	char c;

	assert_int_equal(pipe(ready), 0);
	first = fork();
	if (first == 0) {
		(void)close(ready[0]);
		(void)alarm(30);
		if (vs_control_lock(p->path, &other))
			_exit(1);
		(void)!write(ready[1], "r", 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	assert_int_equal(vs_control_lock(p->path, &other), -EBUSY);
	assert_int_equal(other, first);
	(void)kill(first, SIGKILL);
	assert_int_equal(waitpid(first, &status, 0), first);
	/* Death frees the lock, whatever kind of death. */
	assert_int_equal(vs_control_lock(p->path, &other), 0);
}

static void lock_that_cannot_be_made_is_an_error(void **state)
{
	pid_t other = 77;

	(void)state;
	assert_int_equal(vs_control_lock("/nonexistent/virtscope/socket", &other), -ENOENT);
	assert_int_equal(other, 77);
}

static void path_too_long_for_a_socket_is_an_error(void **state)
{
	struct vs_control *control = NULL;
	struct vs_control_ops ops = { begin, finish, cancel, NULL, NULL };
	struct vs_loop *loop;
	char path[200];
	json_t *j = NULL;

	(void)state;
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(vs_loop_new(&loop), 0);
	assert_int_equal(vs_control_new(loop, path, &ops, &control), -ENAMETOOLONG);
	assert_null(control);
	assert_true(vs_ask_report(path, 1, false, NULL, -1, &j) < 0);
	vs_loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asking_gives_the_daemons_report, make, drop),
		cmocka_unit_test_setup_teardown(daemon_answers_again_and_again, make, drop),
		cmocka_unit_test_setup_teardown(stopping_early_gives_the_report_so_far, make, drop),
		cmocka_unit_test_setup_teardown(stop_in_one_breath_with_the_request_is_heard, make, drop),
		cmocka_unit_test_setup_teardown(request_may_come_byte_by_byte, make, drop),
		cmocka_unit_test_setup_teardown(client_that_hangs_up_cancels_its_request, make, drop),
		cmocka_unit_test_setup_teardown(request_that_makes_no_sense_is_hung_up_on, make, drop),
		cmocka_unit_test_setup_teardown(line_without_end_is_hung_up_on, make, drop),
		cmocka_unit_test_setup_teardown(random_bytes_do_no_harm, make, drop),
		cmocka_unit_test_setup_teardown(second_request_on_one_connection_ends_it, make, drop),
		cmocka_unit_test_setup_teardown(the_17th_client_is_turned_away_and_a_place_comes_free, make, drop),
		cmocka_unit_test_setup_teardown(socket_is_closed_to_others, make, drop),
		cmocka_unit_test_setup_teardown(without_a_daemon_asking_is_enoent, make, drop),
		cmocka_unit_test_setup_teardown(daemon_that_dies_meanwhile_is_an_error, make, drop),
		cmocka_unit_test_setup_teardown(second_daemon_is_told_the_firsts_pid, make, drop),
		cmocka_unit_test_setup_teardown(lock_that_cannot_be_made_is_an_error, make, drop),
		cmocka_unit_test_setup_teardown(path_too_long_for_a_socket_is_an_error, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
