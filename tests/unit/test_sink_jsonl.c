/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "sink/sink.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct place {
	char *dir;
	char path[128];
	struct vs_sink *sink;
	int saved_stderr;
};

static int make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->dir = unit_make_dir();
	(void)snprintf(p->path, sizeof(p->path), "%s/events", p->dir);
	p->saved_stderr = unit_hush();
	*state = p;
	return 0;
}

static int drop(void **state)
{
	struct place *p = *state;

	vs_sink_jsonl.close(&p->sink);
	unit_unhush(p->saved_stderr);
	unit_remove_dir(p->dir, (const char *const[]){ "events", NULL });
	free(p);
	return 0;
}

static int emit(struct vs_sink *sink, int seq, const char *text)
{
	json_t *j = json_pack("{s:i,s:s}", "seq", seq, "text", text);
	int r = vs_sink_jsonl.emit(sink, j);

	json_decref(j);
	return r;
}

/* The file must hold lines of JSON and nothing else. Return: how many. */
static int lines(const char *path, int seqs[], int max)
{
	FILE *f = fopen(path, "r");
	char line[8192];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *j = json_loads(line, 0, NULL);

		assert_true(line[strlen(line) - 1] == '\n');
		assert_non_null(j);
		if (n < max)
			seqs[n] = (int)json_integer_value(json_object_get(j, "seq"));
		n++;
		json_decref(j);
	}
	(void)fclose(f);
	return n;
}

static void each_event_is_one_line(void **state)
{
	struct place *p = *state;
	int seqs[3];

	assert_int_equal(vs_sink_jsonl.open(&p->sink, p->path), 0);
	assert_int_equal(emit(p->sink, 1, "line\nbreak"), 0);
	assert_int_equal(emit(p->sink, 2, "\033[31m\xc3\xa4"), 0);
	assert_int_equal(emit(p->sink, 3, ""), 0);
	assert_int_equal(lines(p->path, seqs, 3), 3);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[2], 3);
	assert_int_equal(vs_sink_jsonl.lost(p->sink), 0);
}

static void keys_keep_their_order(void **state)
{
	struct place *p = *state;
	char text[100] = "";
	int fd;

	assert_int_equal(vs_sink_jsonl.open(&p->sink, p->path), 0);
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

	assert_int_equal(vs_sink_jsonl.open(&p->sink, p->path), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	vs_sink_jsonl.close(&p->sink);
	assert_null(p->sink);
	assert_int_equal(vs_sink_jsonl.open(&p->sink, p->path), 0);
	assert_int_equal(emit(p->sink, 2, ""), 0);
	assert_int_equal(lines(p->path, seqs, 2), 2);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[1], 2);
}

static void event_file_is_not_for_everybody(void **state)
{
	struct place *p = *state;
	mode_t mask = umask(0);
	struct stat st;

	assert_int_equal(vs_sink_jsonl.open(&p->sink, p->path), 0);
	(void)umask(mask);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
}

static void file_that_cannot_be_opened_is_an_error(void **state)
{
	struct place *p = *state;
	struct vs_sink *untouched = (void *)0x1, *sink = untouched;

	(void)p;
	assert_int_equal(vs_sink_jsonl.open(&sink, "/nonexistent/events"), -ENOENT);
	assert_ptr_equal(sink, untouched);
}

static void full_disk_counts_what_is_lost(void **state)
{
	struct place *p = *state;

	assert_int_equal(vs_sink_jsonl.open(&p->sink, "/dev/full"), 0);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(emit(p->sink, i, ""), -ENOSPC);
		assert_int_equal(vs_sink_jsonl.lost(p->sink), i);
	}
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
	assert_int_equal(vs_sink_jsonl.open(&p->sink, p->path), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	little = was;
	little.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(emit(p->sink, 2, big), -EFBIG);
	assert_int_equal(emit(p->sink, 3, big), -EFBIG);
	assert_int_equal(vs_sink_jsonl.lost(p->sink), 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(emit(p->sink, 4, big), 0);
	assert_int_equal(vs_sink_jsonl.lost(p->sink), 2);
	assert_int_equal(lines(p->path, seqs, 3), 2); /* no half line is left */
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[1], 4);
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
		cmocka_unit_test_setup_teardown(event_file_is_not_for_everybody, make, drop),
		cmocka_unit_test_setup_teardown(file_that_cannot_be_opened_is_an_error, make, drop),
		cmocka_unit_test_setup_teardown(full_disk_counts_what_is_lost, make, drop),
		cmocka_unit_test_setup_teardown(full_file_is_written_again_once_there_is_room, make, drop),
		cmocka_unit_test_setup_teardown(closing_nothing_does_nothing, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
