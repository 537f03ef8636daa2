/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event file under other names: rotated, renamed, deleted. */
#include "sink_file.h"

static void file_is_filled_to_the_last_byte_before_it_is_rotated(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, 3 * LINE, 2), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(emit(p->sink, i, ""), 0);
	assert_int_equal(access(at(p, "events.1"), F_OK), -1);
	assert_int_equal(emit(p->sink, 4, ""), 0);
	assert_int_equal(lines(at(p, "events.1"), seqs, 4), 3);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(seqs[0], 4);
}

static void one_byte_less_is_rotated_one_line_earlier(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, 3 * LINE - 1, 2), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(emit(p->sink, i, ""), 0);
	assert_int_equal(lines(at(p, "events.1"), seqs, 4), 2);
	assert_int_equal(lines(p->path, seqs, 4), 1);
}

static void rotation_keeps_as_many_as_asked_for_and_no_line_twice(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, LINE, 3), 0);
	for (int i = 1; i <= 9; i++)
		assert_int_equal(emit(p->sink, i, ""), 0);
	for (int i = 0; i <= 3; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), i ? "events.%d" : "events", i);
		assert_int_equal(lines(at(p, name), seqs, 4), 1);
		assert_int_equal(seqs[0], 9 - i);
	}
	assert_int_equal(access(at(p, "events.4"), F_OK), -1);
	assert_int_equal(access(at(p, "events.new"), F_OK), -1);
}

static void keeping_none_leaves_the_file_alone(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, LINE, 0), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(emit(p->sink, i, ""), 0);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(seqs[0], 3);
	assert_int_equal(access(at(p, "events.1"), F_OK), -1);
}

static void line_longer_than_the_limit_is_written_whole(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, LINE, 2), 0);
	assert_int_equal(emit(p->sink, 1, "much longer than the limit"), 0);
	assert_int_equal(emit(p->sink, 2, "much longer than the limit"), 0);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(seqs[0], 2);
	assert_int_equal(lines(at(p, "events.1"), seqs, 4), 1);
	assert_int_equal(seqs[0], 1);
}

static void bytes_of_an_earlier_run_count(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, 2 * LINE, 2), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	vs_sink_jsonl.close(&p->sink);
	assert_int_equal(open_file(p, p->path, 2 * LINE, 2), 0);
	assert_int_equal(emit(p->sink, 2, ""), 0);
	assert_int_equal(emit(p->sink, 3, ""), 0);
	assert_int_equal(lines(at(p, "events.1"), seqs, 4), 2);
}

static void file_behind_a_link_is_rotated_and_not_the_link(void **state)
{
	struct place *p = *state;
	struct stat st;
	int seqs[4];

	assert_int_equal(symlink("events", at(p, "link")), 0);
	assert_int_equal(open_file(p, at(p, "link"), LINE, 2), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(emit(p->sink, 2, ""), 0);
	assert_int_equal(lstat(at(p, "link"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lines(at(p, "events.1"), seqs, 4), 1);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(seqs[0], 2);
}

static void rotation_that_fails_loses_nothing(void **state)
{
	struct place *p = *state;
	int seqs[4];

	/* A directory stands where the oldest must go, and it is not empty. */
	assert_int_equal(mkdir(at(p, "events.2"), 0755), 0);
	assert_int_equal(mkdir(at(p, "events.2/x"), 0755), 0);
	assert_int_equal(open_file(p, p->path, LINE, 2), 0);
	for (int i = 1; i <= 4; i++)
		assert_int_equal(emit(p->sink, i, ""), 0);
	assert_int_equal(lines(at(p, "events.1"), seqs, 4), 1);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(lines(p->path, seqs, 4), 3);
	assert_int_equal(access(at(p, "events.new"), F_OK), -1);
	assert_int_equal(rmdir(at(p, "events.2/x")), 0);
	assert_int_equal(rmdir(at(p, "events.2")), 0);
	assert_int_equal(emit(p->sink, 5, ""), 0);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(lines(at(p, "events.1"), seqs, 4), 3);
}

static void renamed_file_is_written_until_it_is_reopened(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(rename(p->path, at(p, "renamed")), 0);
	assert_int_equal(emit(p->sink, 2, ""), 0);
	vs_sink_jsonl.tick(p->sink);
	assert_int_equal(emit(p->sink, 3, ""), 0);
	assert_int_equal(access(p->path, F_OK), -1);
	assert_int_equal(vs_sink_jsonl.reopen(p->sink), 0);
	assert_int_equal(emit(p->sink, 4, ""), 0);
	assert_int_equal(lines(at(p, "renamed"), seqs, 4), 3);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(seqs[0], 4);
}

static void file_somebody_else_is_rotating_is_not_rotated_too(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, LINE, 2), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(rename(p->path, at(p, "renamed")), 0);
	(void)close(open(p->path, O_CREAT | O_WRONLY, 0640)); /* logrotate's "create" */
	assert_int_equal(emit(p->sink, 2, ""), 0);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(seqs[0], 2);
	assert_int_equal(access(at(p, "events.1"), F_OK), -1);
}

static void reopening_that_fails_goes_on_with_the_old_file(void **state)
{
	struct place *p = *state;
	char sub[160], path[200];
	int seqs[4];

	(void)snprintf(sub, sizeof(sub), "%s/sub", p->dir);
	(void)snprintf(path, sizeof(path), "%s/events", sub);
	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(open_file(p, path, 0, 0), 0);
	assert_int_equal(rename(sub, at(p, "renamed")), 0);
	assert_int_equal(vs_sink_jsonl.reopen(p->sink), -ENOENT);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(lines(at(p, "renamed/events"), seqs, 4), 1);
	assert_int_equal(unlink(at(p, "renamed/events")), 0);
	assert_int_equal(rmdir(at(p, "renamed")), 0);
}

static void deleted_file_is_made_again_before_a_line_is_lost(void **state)
{
	struct place *p = *state;
	int seqs[4];

	assert_int_equal(open_file(p, p->path, 0, 0), 0);
	assert_int_equal(emit(p->sink, 1, ""), 0);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(emit(p->sink, 2, ""), 0);
	assert_int_equal(lines(p->path, seqs, 4), 1);
	assert_int_equal(seqs[0], 2);
}

static void without_its_directory_a_file_fails_until_a_tick_finds_it(void **state)
{
	struct place *p = *state;
	char sub[160], path[200];
	int seqs[4];

	(void)snprintf(sub, sizeof(sub), "%s/sub", p->dir);
	(void)snprintf(path, sizeof(path), "%s/events", sub);
	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(open_file(p, path, 0, 0), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(emit(p->sink, 1, ""), -ENOENT);
	vs_sink_jsonl.tick(p->sink);
	assert_int_equal(emit(p->sink, 2, ""), -ENOENT);
	assert_int_equal(mkdir(sub, 0755), 0);
	vs_sink_jsonl.tick(p->sink);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(emit(p->sink, 3, ""), 0);
	assert_int_equal(lines(path, seqs, 4), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(sub), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(file_is_filled_to_the_last_byte_before_it_is_rotated, make, drop),
		cmocka_unit_test_setup_teardown(one_byte_less_is_rotated_one_line_earlier, make, drop),
		cmocka_unit_test_setup_teardown(rotation_keeps_as_many_as_asked_for_and_no_line_twice, make, drop),
		cmocka_unit_test_setup_teardown(keeping_none_leaves_the_file_alone, make, drop),
		cmocka_unit_test_setup_teardown(line_longer_than_the_limit_is_written_whole, make, drop),
		cmocka_unit_test_setup_teardown(bytes_of_an_earlier_run_count, make, drop),
		cmocka_unit_test_setup_teardown(file_behind_a_link_is_rotated_and_not_the_link, make, drop),
		cmocka_unit_test_setup_teardown(rotation_that_fails_loses_nothing, make, drop),
		cmocka_unit_test_setup_teardown(renamed_file_is_written_until_it_is_reopened, make, drop),
		cmocka_unit_test_setup_teardown(file_somebody_else_is_rotating_is_not_rotated_too, make, drop),
		cmocka_unit_test_setup_teardown(reopening_that_fails_goes_on_with_the_old_file, make, drop),
		cmocka_unit_test_setup_teardown(deleted_file_is_made_again_before_a_line_is_lost, make, drop),
		cmocka_unit_test_setup_teardown(without_its_directory_a_file_fails_until_a_tick_finds_it, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
