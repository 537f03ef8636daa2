/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "model/event.h"

struct place {
	char *dir;
	char path[128];
};

static int make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->dir = unit_make_dir();
	(void)snprintf(p->path, sizeof(p->path), "%s/seq", p->dir);
	*state = p;
	return 0;
}

static int drop(void **state)
{
	struct place *p = *state;

	unit_remove_dir(p->dir, (const char *const[]){ "seq", NULL });
	free(p);
	return 0;
}

static json_int_t wrap(struct vs_events *e)
{
	json_t *j = vs_events_wrap(e, 0, "vm.started", "info", NULL, json_object());
	json_int_t seq = json_integer_value(json_object_get(j, "seq"));

	assert_non_null(j);
	json_decref(j);
	return seq;
}

/* Opens, writes @n events, closes. Return: the number of the first. */
static json_int_t run(const char *path, int n)
{
	struct vs_events e;
	json_int_t first;

	assert_int_equal(vs_events_open(&e, path), 0);
	first = (json_int_t)e.next_seq;
	for (int i = 0; i < n; i++) {
		assert_int_equal(wrap(&e), first + i);
		vs_events_commit(&e);
	}
	vs_events_close(&e);
	return first;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void numbers_begin_at_one_and_have_no_holes(void **state)
{
	struct place *p = *state;

	assert_int_equal(run(p->path, 20), 1);
}

static void numbers_go_on_after_a_restart(void **state)
{
	struct place *p = *state;

	assert_int_equal(run(p->path, 3), 1);
	assert_int_equal(run(p->path, 9), 4);
	assert_int_equal(run(p->path, 0), 13);
	assert_int_equal(run(p->path, 1), 13);
}

static void number_that_was_not_committed_is_given_again(void **state)
{
	struct place *p = *state;
	struct vs_events e;

	assert_int_equal(vs_events_open(&e, p->path), 0);
	assert_int_equal(wrap(&e), 1);
	vs_events_commit(&e);
	assert_int_equal(wrap(&e), 2); /* the daemon dies before it is written */
	vs_events_close(&e);
	assert_int_equal(run(p->path, 1), 2);
}

static void another_boot_starts_at_one(void **state)
{
	struct place *p = *state;

	put(p->path, "01234567-89ab-cdef-0123-456789abcdef 00000000000000000077\n");
	assert_int_equal(run(p->path, 1), 1);
	assert_int_equal(run(p->path, 1), 2);
}

static void check_damaged(const char *path, const char *format)
{
	struct vs_events e;
	char text[200];

	assert_int_equal(vs_events_open(&e, NULL), 0);
	(void)snprintf(text, sizeof(text), format, e.boot_id);
	put(path, text);
	assert_int_equal(run(path, 2), 1);
	assert_int_equal(run(path, 0), 3);
}

static void damaged_file_starts_at_one(void **state)
{
	struct place *p = *state;

	check_damaged(p->path, "");
	check_damaged(p->path, "\n\n\n");
	check_damaged(p->path, "%s");
	check_damaged(p->path, "%s ");
	check_damaged(p->path, "%s seven\n");
	check_damaged(p->path, "rubbish of more than ninety-six characters, rubbish of more than "
			       "ninety-six characters, rubbish of more than ninety-six characters");
}

static void number_out_of_range_starts_at_one(void **state)
{
	struct place *p = *state;

	check_damaged(p->path, "%s 0\n");
	check_damaged(p->path, "%s -5\n");
	check_damaged(p->path, "%s 18446744073709551615\n");
}

static void without_a_file_numbers_begin_at_one_each_time(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, 3), 1);
	assert_int_equal(run(NULL, 3), 1);
}

static void file_that_cannot_be_opened_is_an_error(void **state)
{
	struct vs_events e;
	int saved = unit_hush(), r;

	(void)state;
	r = vs_events_open(&e, "/nonexistent/virtscope/seq");
	unit_unhush(saved);
	assert_int_equal(r, -ENOENT);
}

static void envelope_says_when_where_and_about_whom(void **state)
{
	struct vs_event_vm vm = { "web", "", 4711 };
	struct vs_events e;
	char id[80];
	json_t *j;

	(void)state;
	assert_int_equal(vs_events_open(&e, NULL), 0);
	j = vs_events_wrap(&e, 1000000001, "vm.started", "info", &vm, json_pack("{s:i}", "x", 7));
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "schema")), "virtscope.event/1");
	(void)snprintf(id, sizeof(id), "%s-1", e.boot_id);
	assert_string_equal(json_string_value(json_object_get(j, "id")), id);
	assert_string_equal(json_string_value(json_object_get(j, "boot_id")), e.boot_id);
	assert_string_equal(json_string_value(json_object_get(j, "ts")),
			    "1970-01-01T00:00:01.000000001Z");
	assert_string_equal(json_string_value(json_object_get(j, "host")), e.host);
	assert_string_equal(json_string_value(json_object_get(j, "severity")), "info");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(j, "vm"), "name")), "web");
	assert_true(json_is_null(json_object_get(json_object_get(j, "vm"), "uuid")));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(j, "vm"), "pid")), 4711);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "data"), "x")), 7);
	json_decref(j);
}

static void event_about_the_host_has_no_vm(void **state)
{
	struct vs_events e;
	json_t *j;

	(void)state;
	assert_int_equal(vs_events_open(&e, NULL), 0);
	j = vs_events_wrap(&e, 0, "self.started", "info", NULL, json_object());
	assert_true(json_is_null(json_object_get(j, "vm")));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers_begin_at_one_and_have_no_holes, make, drop),
		cmocka_unit_test_setup_teardown(numbers_go_on_after_a_restart, make, drop),
		cmocka_unit_test_setup_teardown(number_that_was_not_committed_is_given_again, make, drop),
		cmocka_unit_test_setup_teardown(another_boot_starts_at_one, make, drop),
		cmocka_unit_test_setup_teardown(damaged_file_starts_at_one, make, drop),
		cmocka_unit_test_setup_teardown(number_out_of_range_starts_at_one, make, drop),
		cmocka_unit_test_setup_teardown(without_a_file_numbers_begin_at_one_each_time, make, drop),
		cmocka_unit_test_setup_teardown(file_that_cannot_be_opened_is_an_error, make, drop),
		cmocka_unit_test_setup_teardown(envelope_says_when_where_and_about_whom, make, drop),
		cmocka_unit_test_setup_teardown(event_about_the_host_has_no_vm, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
