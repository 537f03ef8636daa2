/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink_file.h"

#include <signal.h>
#include <sys/resource.h>

static void each_event_is_one_line(void **state)
{
	struct place *p = *state;
	int seqs[3];

	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 1, "line\nbreak"), 0);
	assert_int_equal(emit(p->sink, 2, "\033[31m\xc3\xa4"), 0);
	assert_int_equal(emit(p->sink, 3, ""), 0);
	assert_int_equal(lines(p->path, seqs, 3), 3);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[2], 3);
}

static void keys_keep_their_order(void **state)
{
	struct place *p = *state;
	char text[100] = "";
	int fd;

	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 1, "x"), 0);
	fd = open(p->path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	(void)close(fd);
	assert_string_equal(text, "{\"seq\":1,\"text\":\"x\"}\n");
}

static void file_that_is_there_is_appended_to(void **state)
{
	struct place *p = *state;
	int seqs[2];

	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	vs_sink_jsonl.close(&p->sink);
	assert_null(p->sink);
	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 2, ""), 0);
	assert_int_equal(lines(p->path, seqs, 2), 2);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[1], 2);
}

static void event_file_is_for_its_group_and_not_for_everybody(void **state)
{
	struct place *p = *state;
	mode_t mask = umask(077);
	struct stat st;

	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	(void)umask(mask);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void file_that_cannot_be_opened_is_an_error(void **state)
{
	struct place *p = *state;
	struct vs_sink *untouched = (void *)0x1;

	p->sink = untouched;
	assert_int_equal(open_file(p, "/nonexistent/events", 0, 0), -ENOENT);
	assert_ptr_equal(p->sink, untouched);
	p->sink = NULL;
}

static void full_disk_is_an_error_each_time(void **state)
{
	struct place *p = *state;

	assert_int_equal(open_file(p, "/dev/full", 0, 0), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(emit(p->sink, i, ""), -ENOSPC);
}

static void full_file_is_written_again_once_there_is_room(void **state)
{
	struct place *p = *state;
	struct rlimit was, little;
	char big[3000];
	int seqs[3];

	/* A limit on the file's size fills it in the middle of a line: the
	 * first write() is short, the next one fails. */
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	little = was;
	little.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(emit(p->sink, 2, big), -EFBIG);
	assert_int_equal(emit(p->sink, 3, big), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(emit(p->sink, 4, big), 0);
	assert_int_equal(lines(p->path, seqs, 3), 2); /* no half line is left */
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[1], 4);
}

static void slow_reader_of_a_pipe_delays_nothing_and_gets_whole_lines(void **state)
{
	struct place *p = *state;
	char big[9000], *text = calloc(1, 1 << 20), *line, *save;
	int reader, lost = 0, read_n = 0, before = 0;
	ssize_t n = 0, got;

	/* More than PIPE_BUF: the kernel takes what fits of such a line. */
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(mkfifo(p->path, 0600), 0);
	assert_int_equal(open_file(p, p->path, 0, 0), 0); /* does not wait for a reader */
	assert_int_equal(emit(p->sink, 1, ""), -ENXIO);
	reader = open(p->path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	vs_sink_jsonl.tick(p->sink);
	assert_true(fcntl(reader, F_GETPIPE_SZ) >= 65536);
	(void)fcntl(reader, F_SETPIPE_SZ, 16384);
	(void)alarm(20); /* fails, rather than hangs */
	for (int i = 2; i <= 60; i++) {
		int r = emit(p->sink, i, i % 2 ? big : "");

		assert_true(r == 0 || r == -EAGAIN);
		lost += r != 0;
		/* A page at a time, so that a rest goes out in pieces. */
		if (i % 3 == 0 && (got = read(reader, text + n, 4096)) > 0)
			n += got;
	}
	(void)alarm(0);
	for (int i = 0; i < 9; i++) {
		vs_sink_jsonl.tick(p->sink);
		while ((got = read(reader, text + n, 50000)) > 0)
			n += got;
	}
	(void)close(reader);
	assert_true(lost > 0);
	assert_int_equal(text[n - 1], '\n');
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *j = json_loads(line, 0, NULL);

		assert_non_null(j);
		assert_true(json_integer_value(json_object_get(j, "seq")) > before);
		before = (int)json_integer_value(json_object_get(j, "seq"));
		json_decref(j);
		read_n++;
	}
	assert_int_equal(read_n + lost, 59);
	free(text);
}

static void pipe_without_a_reader_is_an_error_until_another_comes(void **state)
{
	struct place *p = *state;
	char text[100] = "";
	int reader;

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(mkfifo(p->path, 0600), 0);
	reader = open(p->path, O_RDONLY | O_NONBLOCK);
	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(read(reader, text, sizeof(text)), LINE);
	(void)close(reader);
	assert_int_equal(emit(p->sink, 2, ""), -EPIPE);
	reader = open(p->path, O_RDONLY | O_NONBLOCK);
	assert_int_equal(emit(p->sink, 3, ""), 0);
	assert_int_equal(read(reader, text, sizeof(text)), LINE);
	assert_non_null(strstr(text, ":3,"));
	(void)close(reader);
}

static void closing_nothing_does_nothing(void **state)
{
	struct vs_sink *none = NULL;

	(void)state;
	vs_sink_jsonl.close(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_event_is_one_line, make, drop),
		cmocka_unit_test_setup_teardown(keys_keep_their_order, make, drop),
		cmocka_unit_test_setup_teardown(file_that_is_there_is_appended_to, make, drop),
		cmocka_unit_test_setup_teardown(event_file_is_for_its_group_and_not_for_everybody, make, drop),
		cmocka_unit_test_setup_teardown(file_that_cannot_be_opened_is_an_error, make, drop),
		cmocka_unit_test_setup_teardown(full_disk_is_an_error_each_time, make, drop),
		cmocka_unit_test_setup_teardown(full_file_is_written_again_once_there_is_room, make, drop),
		cmocka_unit_test_setup_teardown(slow_reader_of_a_pipe_delays_nothing_and_gets_whole_lines, make, drop),
		cmocka_unit_test_setup_teardown(pipe_without_a_reader_is_an_error_until_another_comes, make, drop),
		cmocka_unit_test_setup_teardown(closing_nothing_does_nothing, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
