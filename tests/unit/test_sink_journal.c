/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A journald that reads only when it is told to; tests/e2e/test_journal.py has a real one. */
#include "unit.h"

#include "base/clock.h"
#include "sink/journal.h"

#include <endian.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define GOT (40u << 20)

struct place {
	char *dir;
	char path[100];
	int journald;
	struct vs_sink *sink;
	char *got; /* the last message, of up to GOT bytes */
	size_t n;
	bool as_file;
};

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->got = malloc(GOT);
	p->dir = unit_make_dir();
	(void)snprintf(p->path, sizeof(p->path), "%s/socket", p->dir);
	p->journald = listen_at(p->path);
	assert_int_equal(vs_journal_open(NULL, p->path, &p->sink), 0);
	*state = p;
	return 0;
}

static int drop(void **state)
{
	struct place *p = *state;

	vs_sink_journal.close(&p->sink);
	assert_null(p->sink);
	if (p->journald >= 0)
		(void)close(p->journald);
	unit_remove_dir(p->dir, (const char *const[]){ "socket", NULL });
	free(p->got);
	free(p);
	return 0;
}

/* Takes the references. */
static int emit(struct place *p, const char *severity, json_t *vm, json_t *data)
{
	json_t *j = json_pack("{s:s,s:i,s:s,s:s,s:o,s:o}", "id", "x-7", "seq", 7, "type", "drop.burst",
			      "severity", severity, "vm", vm, "data", data);
	char *line = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);
	struct vs_sink_event e = { .json = j, .line = line, .len = strlen(line) + 1 };
	int r;

	line[e.len - 1] = '\n';
	r = vs_sink_journal.emit(p->sink, &e);
	free(line);
	json_decref(j);
	return r;
}

static int emit_plain(struct place *p)
{
	return emit(p, "warning", json_null(), json_pack("{s:i}", "count", 10));
}

/* Takes one message, as a datagram or as a file. Return: false if there is none. */
static bool receive(struct place *p)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { p->got, GOT };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(p->journald, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);

	if (n < 0)
		return false;
	p->n = (size_t)n;
	p->as_file = cm != NULL;
	if (cm) {
		int fd;

		assert_int_equal(n, 0);
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
		assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
		n = pread(fd, p->got, GOT, 0);
		assert_true(n > 0);
		p->n = (size_t)n;
		(void)close(fd);
	}
	return true;
}

/* Reads the message as journald does. Return: the field's value, NUL-terminated, or NULL. */
static const char *field(struct place *p, const char *name)
{
	static char value[GOT / 4];
	const char *found = NULL, *s = p->got, *end = p->got + p->n;

	while (s < end) {
		const char *line_end = memchr(s, '\n', (size_t)(end - s)), *eq, *v;
		size_t name_len, len;

		assert_non_null(line_end);
		eq = memchr(s, '=', (size_t)(line_end - s));
		if (eq) {
			name_len = (size_t)(eq - s);
			v = eq + 1;
			len = (size_t)(line_end - v);
		} else {
			uint64_t le;

			name_len = (size_t)(line_end - s);
			memcpy(&le, line_end + 1, 8);
			len = le64toh(le);
			v = line_end + 9;
			assert_true(v + len < end && v[len] == '\n');
		}
		assert_true(name_len > 0 && name_len <= 64);
		if (name_len == strlen(name) && memcmp(s, name, name_len) == 0) {
			assert_null(found);
			memcpy(value, v, len);
			value[len] = '\0';
			found = value;
		}
		s = v + len + 1;
	}
	return found;
}
#define HAS(name, value) assert_string_equal(field(p, name), value)

static void fields_are_those_of_the_event(void **state)
{
	struct place *p = *state;

	assert_int_equal(emit(p, "warning", json_pack("{s:s,s:s,s:i}", "name", "web", "uuid", "u-1", "pid", 42),
			      json_pack("{s:s,s:s,s:n,s:i,s:f,s:b,s:[i]}", "vnic", "tap0", "direction", "rx",
					"reason", "count", 240, "over_s", 1.5, "was_connected", 1, "list", 1)), 0);
	assert_true(receive(p));
	HAS("MESSAGE", "VM web: 240 packets lost at tap0 (rx)");
	HAS("MESSAGE_ID", "a1888dab83f34f35b6e54d1c90ac643a");
	HAS("PRIORITY", "4");
	HAS("SYSLOG_IDENTIFIER", "virtscope");
	HAS("VIRTSCOPE_TYPE", "drop.burst");
	HAS("VIRTSCOPE_SEVERITY", "warning");
	HAS("VIRTSCOPE_SEQ", "7");
	HAS("VIRTSCOPE_ID", "x-7");
	HAS("VIRTSCOPE_VM", "web");
	HAS("VIRTSCOPE_VM_UUID", "u-1");
	HAS("VIRTSCOPE_VM_PID", "42");
	HAS("VIRTSCOPE_VNIC", "tap0");
	HAS("VIRTSCOPE_COUNT", "240");
	HAS("VIRTSCOPE_OVER_S", "1.5");
	HAS("VIRTSCOPE_WAS_CONNECTED", "true");
	assert_null(field(p, "VIRTSCOPE_REASON"));
	assert_null(field(p, "VIRTSCOPE_LIST"));
	assert_non_null(strstr(field(p, "VIRTSCOPE_EVENT"), "\"list\":[1]}}"));
}

static void priority_follows_the_severity(void **state)
{
	static const char *const pairs[][2] = { { "info", "6" }, { "warning", "4" }, { "error", "3" } };
	struct place *p = *state;

	for (size_t i = 0; i < COUNT(pairs); i++) {
		assert_int_equal(emit(p, pairs[i][0], json_null(), json_object()), 0);
		assert_true(receive(p));
		HAS("PRIORITY", pairs[i][1]);
		assert_null(field(p, "VIRTSCOPE_VM"));
	}
}

static void name_with_newlines_forges_no_field(void **state)
{
	static const char name[] = "web\nPRIORITY=0\nVIRTSCOPE_TYPE=vm.stop\n\033[31m\"=";
	struct place *p = *state;

	assert_int_equal(emit(p, "info", json_pack("{s:s,s:n,s:i}", "name", name, "uuid", "pid", 1),
			      json_pack("{s:s}", "vnic", name)), 0);
	assert_true(receive(p));
	HAS("VIRTSCOPE_VM", name);
	HAS("VIRTSCOPE_VNIC", name);
	HAS("PRIORITY", "6");
	HAS("VIRTSCOPE_TYPE", "drop.burst");
	assert_null(strchr(field(p, "MESSAGE"), '\n'));
	assert_null(strchr(field(p, "MESSAGE"), '\033'));
}

static void event_too_long_for_a_datagram_goes_as_a_file(void **state)
{
	struct place *p = *state;
	const size_t n = 9 << 20; /* more than the sink's send buffer can be */
	char *big = calloc(1, n + 1);

	memset(big, 'x', n);
	assert_int_equal(emit(p, "info", json_null(), json_pack("{s:s}", "vnic", big)), 0);
	assert_true(receive(p));
	assert_true(p->as_file);
	assert_string_equal(field(p, "VIRTSCOPE_VNIC"), big);
	free(big);
}

static void stop(void *loop, int fd)
{
	(void)fd;
	vs_loop_stop(loop);
}

static void what_journald_does_not_take_at_once_waits_in_order(void **state)
{
	struct place *p = *state;
	uint64_t begun_ns = vs_clock_mono_ns();
	int received = 0;

	(void)alarm(20); /* fails, rather than hangs */
	for (int i = 0; i < 2000; i++)
		assert_int_equal(emit(p, "info", json_null(), json_pack("{s:i}", "count", i)), 0);
	assert_true(vs_clock_mono_ns() - begun_ns < 5 * VS_NS_PER_S);
	while (received < 2000) {
		while (receive(p)) {
			char count[16];

			(void)snprintf(count, sizeof(count), "%d", received++);
			HAS("VIRTSCOPE_COUNT", count);
		}
		assert_int_equal(vs_sink_journal.lost_later(p->sink, false), 0); /* sends on */
	}
	(void)alarm(0);
	assert_false(receive(p));
}

static void what_waits_is_bounded(void **state)
{
	struct place *p = *state;
	int taken = 0, received = 0, r;

	while ((r = emit_plain(p)) == 0 && taken < 200000)
		taken++;
	assert_int_equal(r, -EAGAIN);
	assert_in_range(taken, 2000, 100000);
	do {
		while (receive(p))
			received++;
	} while (vs_sink_journal.lost_later(p->sink, false) || received < taken);
	assert_int_equal(received, taken);
	assert_int_equal(emit_plain(p), 0); /* and it goes on */
	assert_true(receive(p));
}

static void what_waits_for_a_journald_that_dies_is_counted_as_lost(void **state)
{
	struct place *p = *state;
	int received = 0;
	uint64_t lost;

	for (int i = 0; i < 2000; i++)
		assert_int_equal(emit_plain(p), 0);
	while (receive(p))
		received++;
	assert_in_range(received, 1, 1000);
	(void)close(p->journald);
	p->journald = -1;
	lost = vs_sink_journal.lost_later(p->sink, false);
	assert_int_equal(lost, 2000 - received);
	assert_int_equal(vs_sink_journal.lost_later(p->sink, true), 0);
}

static void what_still_waits_at_the_end_is_counted_as_lost(void **state)
{
	struct place *p = *state;
	uint64_t lost;
	int received = 0;

	for (int i = 0; i < 2000; i++)
		assert_int_equal(emit_plain(p), 0);
	lost = vs_sink_journal.lost_later(p->sink, true);
	while (receive(p))
		received++;
	assert_true(lost > 0);
	assert_int_equal(lost + (uint64_t)received, 2000);
}

static void the_loop_sends_as_soon_as_journald_reads(void **state)
{
	struct place *p = *state;
	struct vs_sink *sink = NULL;
	struct vs_loop *loop;
	pid_t reader;
	int pipe_[2], status;

	vs_sink_journal.close(&p->sink);
	assert_int_equal(vs_loop_new(&loop), 0);
	assert_int_equal(vs_journal_open(loop, p->path, &sink), 0);
	p->sink = sink;
	assert_int_equal(pipe2(pipe_, O_CLOEXEC), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(emit_plain(p), 0);
	reader = fork();
	if (reader == 0) {
		int n = 0;

		(void)alarm(20);
		(void)fcntl(p->journald, F_SETFL, 0);
		while (n < 1000 && receive(p))
			n++;
		_exit(n == 1000 ? 0 : 1); /* and the loop hears of the pipe's end */
	}
	(void)close(pipe_[1]);
	assert_int_equal(vs_loop_add(loop, pipe_[0], stop, loop), 0);
	(void)alarm(20);
	assert_int_equal(vs_loop_run(loop), 0);
	(void)alarm(0);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	vs_sink_journal.close(&p->sink);
	vs_loop_free(&loop);
	(void)close(pipe_[0]);
}

static void journald_that_is_not_there_is_an_error_until_it_comes_back(void **state)
{
	struct place *p = *state;

	(void)close(p->journald);
	assert_int_equal(emit_plain(p), -ECONNREFUSED);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(emit_plain(p), -ENOENT);
	p->journald = listen_at(p->path);
	assert_int_equal(emit_plain(p), 0);
	assert_true(receive(p));
}

static void journald_that_was_restarted_gets_the_next_event(void **state)
{
	struct place *p = *state;

	assert_int_equal(emit_plain(p), 0);
	assert_true(receive(p));
	(void)close(p->journald);
	assert_int_equal(unlink(p->path), 0);
	p->journald = listen_at(p->path);
	assert_int_equal(emit_plain(p), 0);
	assert_true(receive(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fields_are_those_of_the_event, make, drop),
		cmocka_unit_test_setup_teardown(priority_follows_the_severity, make, drop),
		cmocka_unit_test_setup_teardown(name_with_newlines_forges_no_field, make, drop),
		cmocka_unit_test_setup_teardown(event_too_long_for_a_datagram_goes_as_a_file, make, drop),
		cmocka_unit_test_setup_teardown(what_journald_does_not_take_at_once_waits_in_order, make, drop),
		cmocka_unit_test_setup_teardown(what_waits_is_bounded, make, drop),
		cmocka_unit_test_setup_teardown(what_waits_for_a_journald_that_dies_is_counted_as_lost, make, drop),
		cmocka_unit_test_setup_teardown(what_still_waits_at_the_end_is_counted_as_lost, make, drop),
		cmocka_unit_test_setup_teardown(the_loop_sends_as_soon_as_journald_reads, make, drop),
		cmocka_unit_test_setup_teardown(journald_that_is_not_there_is_an_error_until_it_comes_back, make,
						drop),
		cmocka_unit_test_setup_teardown(journald_that_was_restarted_gets_the_next_event, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
