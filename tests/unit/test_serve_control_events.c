/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon runs in a child process; each line that comes in through a pipe is
 * an event to it: "SEQ TYPE VM BYTES". */
#include "unit.h"

#include "base/clock.h"
#include "serve/ask.h"
#include "serve/control.h"
#include "serve/event_memory.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define REMEMBERED 50

struct place {
	char *dir;
	char path[100];
	pid_t daemon;
	FILE *events; /* to the daemon */
	int taken;    /* a byte for each that it has */
	int saved_stderr;
	/* what a reader was given */
	int seqs[6000], n;
	uint64_t skipped;
	int stop_after; /* 0: never */
};

static struct vs_sink *remembering;
static int said;

static void take_event(const char *text)
{
	int seq, bytes;
	char type[64], vm[64], *fat, *line;
	struct vs_sink_event e = { 0 };
	json_t *j;

	if (sscanf(text, "%d %63s %63s %d", &seq, type, vm, &bytes) != 4)
		_exit(4);
	fat = calloc(1, (size_t)bytes + 1);
	memset(fat, 'x', (size_t)bytes);
	j = json_pack("{s:s,s:i,s:s,s:o,s:s}", "schema", "test", "seq", seq, "type", type, "vm",
		      strcmp(vm, "-") == 0 ? json_null() : json_pack("{s:s}", "name", vm), "fat", fat);
	line = json_dumps(j, JSON_COMPACT);
	e = (struct vs_sink_event){ .json = j, .line = line, .len = strlen(line) + 1 };
	line[e.len - 1] = '\n';
	if (vs_sink_memory.emit(remembering, &e))
		_exit(5);
	free(line);
	free(fat);
	json_decref(j);
	(void)!write(said, "t", 1);
}

static void on_line(void *data, int fd)
{
	FILE *f = data;
	char line[256];

	(void)fd;
	if (!fgets(line, sizeof(line), f))
		_exit(0); /* the test is over */
	take_event(line);
}

static void be_daemon(const char *path, int in, int ready)
{
	struct vs_control_ops ops = { 0 };
	struct vs_event_memory *memory;
	struct vs_control *control;
	struct vs_loop *loop;
	FILE *f = fdopen(in, "r");

	(void)alarm(60); /* never outlives a failed test by much */
	(void)setvbuf(f, NULL, _IONBF, 0); /* or epoll would not know of a second line */
	if (vs_event_memory_new(REMEMBERED, 4 << 20, &memory) ||
	    vs_event_memory_sink(memory, &remembering))
		_exit(1);
	ops.memory = memory;
	if (vs_loop_new(&loop) || vs_loop_catch_signals(loop) ||
	    vs_control_new(loop, path, &ops, &control) || vs_loop_add(loop, in, on_line, f))
		_exit(1);
	said = ready;
	(void)!write(ready, "r", 1);
	if (vs_loop_run(loop))
		_exit(2);
	vs_control_free(&control);
	vs_sink_memory.close(&remembering);
	vs_event_memory_free(&memory);
	vs_loop_free(&loop);
	_exit(0);
}

static int make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	int in[2], out[2];
	char c;

	p->dir = unit_make_dir();
	(void)snprintf(p->path, sizeof(p->path), "%s/socket", p->dir);
	p->saved_stderr = unit_hush();
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	p->daemon = fork();
	if (p->daemon == 0) {
		(void)close(in[1]);
		(void)close(out[0]);
		be_daemon(p->path, in[0], out[1]);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	p->events = fdopen(in[1], "w");
	p->taken = out[0];
	assert_int_equal(read(p->taken, &c, 1), 1);
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
	(void)fclose(p->events);
	(void)close(p->taken);
	unit_remove_dir(p->dir, (const char *const[]){ "socket", NULL });
	free(p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

/* Waits until the daemon has it. */
static void event(struct place *p, int seq, const char *type, const char *vm, int bytes)
{
	struct pollfd taken = { .fd = p->taken, .events = POLLIN };
	char c;

	(void)fprintf(p->events, "%d %s %s %d\n", seq, type, vm, bytes);
	assert_int_equal(fflush(p->events), 0);
	assert_int_equal(poll(&taken, 1, 5000), 1);
	assert_int_equal(read(p->taken, &c, 1), 1);
}

static void events(struct place *p, int from, int to)
{
	for (int i = from; i <= to; i++)
		event(p, i, i % 2 ? "drop.burst" : "vm.start", i % 3 ? "web" : "db", 0);
}

static int on_event(void *data, const char *text, size_t len, const json_t *event_)
{
	struct place *p = data;
	json_t *again = json_loadb(text, len, 0, NULL);

	assert_true(json_equal(again, event_));
	json_decref(again);
	if (json_object_get(event_, "skipped"))
		p->skipped += (uint64_t)json_integer_value(json_object_get(event_, "skipped"));
	else
		p->seqs[p->n++] = (int)json_integer_value(json_object_get(event_, "seq"));
	return p->stop_after && p->n >= p->stop_after ? 77 : 0;
}

static int ask(struct place *p, struct vs_ask_events what)
{
	p->n = 0;
	p->skipped = 0;
	return vs_ask_events(p->path, &what, -1, on_event, p);
}

static void check_seqs(const struct place *p, int from, int to, int step)
{
	int n = 0;

	for (int i = from; i <= to; i += step)
		assert_int_equal(p->seqs[n++], i);
	assert_int_equal(p->n, n);
}

static void what_is_remembered_is_sent_in_order_and_then_the_end(void **state)
{
	struct place *p = *state;

	assert_int_equal(ask(p, (struct vs_ask_events){ 0 }), 0);
	assert_int_equal(p->n, 0);
	events(p, 1, 30);
	assert_int_equal(ask(p, (struct vs_ask_events){ 0 }), 0);
	check_seqs(p, 1, 30, 1);
	assert_int_equal(p->skipped, 0);
}

static void only_what_is_asked_for_is_sent(void **state)
{
	struct place *p = *state;

	events(p, 1, 12);
	assert_int_equal(ask(p, (struct vs_ask_events){ .type = "vm.start" }), 0);
	check_seqs(p, 2, 12, 2);
	assert_int_equal(ask(p, (struct vs_ask_events){ .type = "drop.*" }), 0);
	check_seqs(p, 1, 12, 2);
	assert_int_equal(ask(p, (struct vs_ask_events){ .type = "drop" }), 0);
	assert_int_equal(p->n, 0);
	assert_int_equal(ask(p, (struct vs_ask_events){ .vm = "db" }), 0);
	check_seqs(p, 3, 12, 3);
	assert_int_equal(ask(p, (struct vs_ask_events){ .vm = "db", .type = "vm.*" }), 0);
	check_seqs(p, 6, 12, 6);
	assert_int_equal(ask(p, (struct vs_ask_events){ .since_seq = 9 }), 0);
	check_seqs(p, 10, 12, 1);
	assert_int_equal(ask(p, (struct vs_ask_events){ .last = 4 }), 0);
	check_seqs(p, 9, 12, 1);
	assert_int_equal(ask(p, (struct vs_ask_events){ .last = 2, .vm = "db" }), 0);
	check_seqs(p, 9, 12, 3);
	assert_int_equal(ask(p, (struct vs_ask_events){ .last = 100 }), 0);
	check_seqs(p, 1, 12, 1);
}

static void vm_names_of_any_text_are_found(void **state)
{
	struct place *p = *state;

	event(p, 1, "vm.start", "a\"b\\c\xc3\xa4", 0);
	event(p, 2, "vm.start", "*", 0);
	assert_int_equal(ask(p, (struct vs_ask_events){ .vm = "a\"b\\c\xc3\xa4" }), 0);
	check_seqs(p, 1, 1, 1);
	assert_int_equal(ask(p, (struct vs_ask_events){ .vm = "*" }), 0); /* a name, no pattern */
	check_seqs(p, 2, 2, 1);
}

static void numbers_that_are_gone_are_said_to_be_skipped(void **state)
{
	struct place *p = *state;

	events(p, 1, 80);
	assert_int_equal(ask(p, (struct vs_ask_events){ 0 }), 0);
	check_seqs(p, 31, 80, 1);
	assert_int_equal(p->skipped, 0);
	assert_int_equal(ask(p, (struct vs_ask_events){ .since_seq = 10 }), 0);
	check_seqs(p, 31, 80, 1);
	assert_int_equal(p->skipped, 20);
	assert_int_equal(ask(p, (struct vs_ask_events){ .since_seq = 30 }), 0);
	assert_int_equal(p->skipped, 0);
	/* Of before a reboot: nothing that is there was seen. */
	assert_int_equal(ask(p, (struct vs_ask_events){ .since_seq = 5000 }), 0);
	check_seqs(p, 31, 80, 1);
	assert_int_equal(ask(p, (struct vs_ask_events){ .since_seq = 80 }), 0);
	assert_int_equal(p->n, 0);
}

static void follower_gets_what_comes_until_it_has_enough(void **state)
{
	struct place *p = *state;
	pid_t writer;

	events(p, 1, 3);
	writer = fork();
	if (writer == 0) {
		(void)usleep(200000);
		events(p, 4, 6);
		_exit(0);
	}
	p->stop_after = 6;
	(void)alarm(20);
	assert_int_equal(ask(p, (struct vs_ask_events){ .follow = true }), 77);
	(void)alarm(0);
	check_seqs(p, 1, 6, 1);
	(void)waitpid(writer, NULL, 0);
}

static void follower_ends_when_told_to_and_when_the_daemon_does(void **state)
{
	const struct vs_ask_events follow = { .follow = true };
	struct place *p = *state;
	pid_t killer;
	int stop[2];

	assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
	assert_int_equal(write(stop[1], "x", 1), 1);
	(void)alarm(20);
	assert_int_equal(vs_ask_events(p->path, &follow, stop[0], on_event, p), 0);
	killer = fork();
	if (killer == 0) {
		(void)usleep(200000);
		(void)kill(p->daemon, SIGTERM);
		_exit(0);
	}
	assert_int_equal(ask(p, follow), -ECONNRESET);
	(void)alarm(0);
	(void)waitpid(killer, NULL, 0);
	(void)close(stop[0]);
	(void)close(stop[1]);
}

static int dial(const struct place *p, const char *request)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", p->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	return fd;
}

static void reader_that_does_not_read_delays_nobody_and_is_told_what_it_missed(void **state)
{
	struct place *p = *state;
	int fd = dial(p, "{\"request\":\"events\",\"follow\":true}\n"), n = 0, before = 0;
	uint64_t begun_ns = vs_clock_mono_ns(), skipped = 0;
	char *line = NULL;
	size_t size = 0;
	FILE *f;

	/* 40 MB, of which a socket takes little and the memory 2 MB. */
	for (int i = 1; i <= 1000; i++)
		event(p, i, "vm.start", "web", 40000);
	assert_true(vs_clock_mono_ns() - begun_ns < 20 * VS_NS_PER_S);
	p->stop_after = 0;
	assert_int_equal(ask(p, (struct vs_ask_events){ .last = 1 }), 0); /* others are served */
	assert_int_equal(p->seqs[0], 1000);
	f = fdopen(fd, "r");
	(void)alarm(30);
	while (before < 1000 && getline(&line, &size, f) > 0) {
		json_t *j = json_loads(line, 0, NULL);

		assert_non_null(j); /* no half line, however it was cut */
		if (json_object_get(j, "skipped")) {
			skipped += (uint64_t)json_integer_value(json_object_get(j, "skipped"));
		} else {
			n++;
			assert_true(json_integer_value(json_object_get(j, "seq")) > before);
			before = (int)json_integer_value(json_object_get(j, "seq"));
		}
		json_decref(j);
	}
	(void)alarm(0);
	assert_true(skipped > 0);
	assert_int_equal((uint64_t)n + skipped, 1000);
	free(line);
	(void)fclose(f);
}

static void readers_are_bounded_and_one_too_many_is_told_so(void **state)
{
	struct place *p = *state;
	int fds[8];

	for (size_t i = 0; i < COUNT(fds); i++) {
		char c;

		fds[i] = dial(p, "{\"request\":\"events\",\"follow\":true}\n");
		event(p, (int)i + 1, "vm.start", "web", 0);
		assert_int_equal(recv(fds[i], &c, 1, 0), 1); /* it is being served */
	}
	assert_int_equal(ask(p, (struct vs_ask_events){ 0 }), -EPROTO);
	(void)close(fds[3]);
	(void)usleep(100000);
	assert_int_equal(ask(p, (struct vs_ask_events){ 0 }), 0);
	for (size_t i = 0; i < COUNT(fds); i++)
		if (i != 3)
			(void)close(fds[i]);
}

static void check_hangs_up(const struct place *p, const char *request)
{
	struct pollfd fd = { .fd = dial(p, request), .events = POLLIN };
	char text[256];
	ssize_t n;

	do {
		assert_int_equal(poll(&fd, 1, 5000), 1);
		n = recv(fd.fd, text, sizeof(text), 0);
	} while (n > 0);
	(void)close(fd.fd);
}

static void nonsense_is_hung_up_on_and_harms_nobody(void **state)
{
	struct place *p = *state;

	events(p, 1, 5);
	check_hangs_up(p, "{\"request\":\"events\",\"follow\":true}\nstop\n");
	check_hangs_up(p, "{\"request\":\"events\",\"since_seq\":-1,\"last\":-1,\"vm\":7,\"type\":[]}\n");
	check_hangs_up(p, "{\"request\":\"events\",\"last\":0}\n");
	check_hangs_up(p, "{\"request\":\"report\",\"duration\":0}\n");
	check_hangs_up(p, "{\"request\":\"events\"\n");
	assert_int_equal(ask(p, (struct vs_ask_events){ .type = "[" }), 0); /* no pattern: matches none */
	assert_int_equal(p->n, 0);
	assert_int_equal(ask(p, (struct vs_ask_events){ 0 }), 0);
	check_seqs(p, 1, 5, 1);
}

static void without_a_daemon_asking_is_enoent(void **state)
{
	struct place *p = *state;
	char path[120];

	(void)snprintf(path, sizeof(path), "%s/other", p->dir);
	assert_int_equal(vs_ask_events(path, &(struct vs_ask_events){ 0 }, -1, on_event, p), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_remembered_is_sent_in_order_and_then_the_end, make, drop),
		cmocka_unit_test_setup_teardown(only_what_is_asked_for_is_sent, make, drop),
		cmocka_unit_test_setup_teardown(vm_names_of_any_text_are_found, make, drop),
		cmocka_unit_test_setup_teardown(numbers_that_are_gone_are_said_to_be_skipped, make, drop),
		cmocka_unit_test_setup_teardown(follower_gets_what_comes_until_it_has_enough, make, drop),
		cmocka_unit_test_setup_teardown(follower_ends_when_told_to_and_when_the_daemon_does, make, drop),
		cmocka_unit_test_setup_teardown(reader_that_does_not_read_delays_nobody_and_is_told_what_it_missed,
						make, drop),
		cmocka_unit_test_setup_teardown(readers_are_bounded_and_one_too_many_is_told_so, make, drop),
		cmocka_unit_test_setup_teardown(nonsense_is_hung_up_on_and_harms_nobody, make, drop),
		cmocka_unit_test_setup_teardown(without_a_daemon_asking_is_enoent, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
