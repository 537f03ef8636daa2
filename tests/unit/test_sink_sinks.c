/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sinks that do as they are told, and what the set says of them. */
#include "unit.h"

#include "base/clock.h"
#include "sink/sinks.h"

#define S VS_NS_PER_S

struct vs_sink {
	int error; /* what emit() returns */
	int reopen_error;
	int ticks, reopens, events;
	int last_seq;
	int lost_later;
	bool *closed;
};

static int fake_emit(struct vs_sink *s, const struct vs_sink_event *event)
{
	json_t *line = json_loadb(event->line, event->len, 0, NULL);

	assert_true(json_equal(line, event->json));
	assert_int_equal(event->line[event->len - 1], '\n');
	json_decref(line);
	if (s->error)
		return s->error;
	s->events++;
	s->last_seq = (int)json_integer_value(json_object_get(event->json, "seq"));
	return 0;
}

static int fake_reopen(struct vs_sink *s)
{
	s->reopens++;
	return s->reopen_error;
}

static void fake_tick(struct vs_sink *s)
{
	s->ticks++;
}

static uint64_t fake_lost_later(struct vs_sink *s, bool at_end)
{
	int n = s->lost_later;

	(void)at_end;
	s->lost_later = 0;
	return (uint64_t)n;
}

static void fake_close(struct vs_sink **s)
{
	if (*s)
		*(*s)->closed = true;
	free(*s);
	*s = NULL;
}

static const struct vs_sink_ops fake = { fake_emit, fake_reopen, fake_tick, fake_lost_later, fake_close };
static const struct vs_sink_ops plain = { .emit = fake_emit, .close = fake_close };

struct place {
	struct vs_sinks *set;
	struct vs_sink *a, *b; /* the set's */
	bool closed[2];
	int seq;
	int told; /* sink.dropped events */
	char sink[16], state[16], severity[16], why[64];
	json_int_t count;
	int saved_stderr;
};

static struct vs_sink *add(struct place *p, const char *name, const struct vs_sink_ops *ops, bool *closed)
{
	struct vs_sink *s = calloc(1, sizeof(*s)), *ret = s;

	s->closed = closed;
	assert_int_equal(vs_sinks_replace(p->set, name, name, ops, &s), 0);
	assert_null(s);
	return ret;
}

static int make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->saved_stderr = unit_hush();
	assert_int_equal(vs_sinks_new(&p->set), 0);
	p->a = add(p, "a", &fake, &p->closed[0]);
	p->b = add(p, "b", &plain, &p->closed[1]);
	*state = p;
	return 0;
}

static int drop(void **state)
{
	struct place *p = *state;

	vs_sinks_free(&p->set);
	assert_null(p->set);
	assert_true(p->closed[0] && p->closed[1]);
	unit_unhush(p->saved_stderr);
	free(p);
	return 0;
}

static void emit(struct place *p, int n)
{
	while (n--) {
		json_t *j = json_pack("{s:i}", "seq", ++p->seq);

		vs_sinks_emit(p->set, j);
		json_decref(j);
	}
}

/* As the daemon does it: the event comes back to the set. */
static void on_emit(void *to, const char *type, const char *severity, const struct vs_event_vm *vm,
		    json_t *data)
{
	struct place *p = to;

	assert_string_equal(type, "sink.dropped");
	assert_null(vm);
	p->told++;
	p->count = json_integer_value(json_object_get(data, "count"));
	(void)snprintf(p->severity, sizeof(p->severity), "%s", severity);
	(void)snprintf(p->sink, sizeof(p->sink), "%s", json_string_value(json_object_get(data, "sink")));
	(void)snprintf(p->state, sizeof(p->state), "%s", json_string_value(json_object_get(data, "state")));
	(void)snprintf(p->why, sizeof(p->why), "%s", json_string_value(json_object_get(data, "why")));
	json_decref(data);
	emit(p, 1);
}

static void tick(struct place *p, uint64_t s)
{
	vs_sinks_tick(p->set, (1000 + s) * S, on_emit, p);
}

static struct vs_sink_stats stats(const struct place *p, uint32_t i)
{
	struct vs_sink_stats ret;

	assert_true(vs_sinks_get(p->set, i, &ret));
	return ret;
}

static void each_sink_is_given_each_event(void **state)
{
	struct place *p = *state;

	emit(p, 3);
	assert_int_equal(p->a->events, 3);
	assert_int_equal(p->b->events, 3);
	assert_int_equal(stats(p, 0).written, 3);
	assert_int_equal(stats(p, 1).written, 3);
	assert_string_equal(stats(p, 1).name, "b");
	assert_false(vs_sinks_get(p->set, 2, &(struct vs_sink_stats){ 0 }));
}

static void sink_that_fails_harms_no_other(void **state)
{
	struct place *p = *state;

	p->a->error = -ENOSPC;
	emit(p, 5);
	assert_int_equal(p->b->events, 5);
	assert_int_equal(stats(p, 0).written, 0);
	assert_int_equal(stats(p, 0).lost, 5);
	assert_true(stats(p, 0).failing);
	assert_int_equal(stats(p, 1).lost, 0);
	assert_false(stats(p, 1).failing);
}

static void loss_is_told_to_the_others_once(void **state)
{
	struct place *p = *state;

	tick(p, 0);
	assert_int_equal(p->told, 0);
	p->a->error = -ENOSPC;
	emit(p, 5);
	tick(p, 1);
	assert_int_equal(p->told, 1);
	assert_string_equal(p->sink, "a");
	assert_string_equal(p->state, "losing");
	assert_string_equal(p->severity, "error");
	assert_string_equal(p->why, strerror(ENOSPC));
	assert_int_equal(p->count, 5);
	assert_int_equal(p->b->events, 6);
	/* That event was lost on a, too: no reason to tell of it for ever. */
	for (int i = 2; i < 60; i++)
		tick(p, (uint64_t)i);
	assert_int_equal(p->told, 1);
}

static void losses_that_go_on_are_told_every_10_seconds(void **state)
{
	struct place *p = *state;

	p->a->error = -ENOSPC;
	for (int i = 0; i <= 30; i++) {
		emit(p, 1);
		tick(p, (uint64_t)i);
	}
	assert_int_equal(p->told, 4); /* at 0, 10, 20 and 30 */
	assert_int_equal(p->count, 31 + 3); /* with the three of them that were lost before */
}

static void recovery_tells_how_many_numbers_are_missing(void **state)
{
	struct place *p = *state;

	emit(p, 2);
	p->a->error = -ENOSPC;
	emit(p, 7);
	tick(p, 0);
	emit(p, 4);
	p->a->error = 0;
	emit(p, 1);
	tick(p, 5);
	assert_int_equal(p->told, 1); /* not before 10 s are over */
	tick(p, 10);
	assert_int_equal(p->told, 2);
	assert_string_equal(p->state, "recovered");
	assert_string_equal(p->severity, "info");
	assert_int_equal(p->count, 7 + 1 + 4);
	assert_int_equal(stats(p, 0).lost, 12);
	assert_int_equal(p->a->last_seq, p->seq); /* the sink itself has the word */
	assert_int_equal(p->seq - p->a->events, 12);
	tick(p, 100);
	assert_int_equal(p->told, 2);
}

static void sink_that_comes_and_goes_is_one_stretch(void **state)
{
	struct place *p = *state;

	p->a->error = -EAGAIN;
	emit(p, 1);
	tick(p, 0);
	assert_string_equal(p->why, "its reader is too slow");
	for (int i = 1; i < 10; i++) {
		p->a->error = i % 2 ? 0 : -EAGAIN;
		emit(p, 1);
		tick(p, (uint64_t)i);
	}
	assert_int_equal(p->told, 1);
	tick(p, 10);
	assert_int_equal(p->told, 2);
	assert_string_equal(p->state, "recovered");
	assert_int_equal(p->count, 1 + 1 + 4);
}

static void new_stretch_counts_anew(void **state)
{
	struct place *p = *state;

	p->a->error = -ENOSPC;
	emit(p, 3);
	tick(p, 0);
	p->a->error = 0;
	emit(p, 1);
	tick(p, 10);
	p->a->error = -ENOSPC;
	emit(p, 2);
	tick(p, 20);
	assert_int_equal(p->told, 3);
	assert_string_equal(p->state, "losing");
	assert_int_equal(p->count, 2);
}

static void two_sinks_are_told_of_apart(void **state)
{
	struct place *p = *state;

	p->a->error = p->b->error = -ENOSPC;
	emit(p, 3);
	tick(p, 0);
	assert_int_equal(p->told, 2);
	assert_string_equal(p->sink, "b");
	assert_int_equal(p->count, 3 + 1); /* and the event that told of a */
}

static void what_a_sink_kept_and_lost_later_is_counted_and_told(void **state)
{
	struct place *p = *state;

	emit(p, 10);
	p->a->lost_later = 4;
	tick(p, 0);
	assert_int_equal(p->told, 1);
	assert_string_equal(p->state, "recovered"); /* the last one was taken */
	assert_int_equal(p->count, 4);
	assert_int_equal(stats(p, 0).written, 10 + 1);
	assert_int_equal(stats(p, 0).lost, 4);
	tick(p, 20);
	assert_int_equal(p->told, 1);
}

static void ticks_and_reopens_reach_who_wants_them(void **state)
{
	struct place *p = *state;

	tick(p, 0);
	tick(p, 1);
	assert_int_equal(p->a->ticks, 2);
	assert_int_equal(vs_sinks_reopen(p->set), 0);
	assert_int_equal(p->a->reopens, 1);
	p->a->reopen_error = -ENOENT;
	assert_int_equal(vs_sinks_reopen(p->set), -ENOENT);
}

static void without_listener_losses_are_only_said(void **state)
{
	struct place *p = *state;

	p->a->error = -ENOSPC;
	emit(p, 3);
	vs_sinks_tick(p->set, 1000 * S, NULL, NULL);
	assert_int_equal(stats(p, 0).lost, 3);
}

static void sink_too_many_is_closed_and_an_error(void **state)
{
	struct place *p = *state;
	bool closed[VS_SINKS__MAX] = { 0 }, last = false;
	static const char *const names[] = { "c", "d", "e", "f", "g", "h" };
	struct vs_sink *s = calloc(1, sizeof(*s));

	for (int i = 2; i < VS_SINKS__MAX; i++)
		(void)add(p, names[i - 2], &plain, &closed[i]);
	s->closed = &last;
	assert_int_equal(vs_sinks_add(p->set, "last", "last", &plain, &s), -ENOSPC);
	assert_null(s);
	assert_true(last);
	vs_sinks_free(&p->set);
	assert_true(closed[VS_SINKS__MAX - 1]);
}

static void sink_of_a_name_that_is_there_takes_its_place_and_its_figures(void **state)
{
	struct place *p = *state;
	bool closed = false;

	p->b->error = -ENOSPC;
	emit(p, 3);
	p->b = add(p, "b", &fake, &closed);
	assert_true(p->closed[1]);
	emit(p, 2);
	assert_int_equal(stats(p, 1).written, 2);
	assert_int_equal(stats(p, 1).lost, 3);
	assert_false(vs_sinks_get(p->set, 2, &(struct vs_sink_stats){ 0 }));
	vs_sinks_free(&p->set);
	assert_true(closed);
}

static void removed_sink_is_closed_and_the_others_go_on(void **state)
{
	struct place *p = *state;

	emit(p, 1);
	vs_sinks_remove(p->set, "nobody");
	vs_sinks_remove(p->set, "a");
	assert_true(p->closed[0]);
	emit(p, 1);
	assert_string_equal(stats(p, 0).name, "b");
	assert_int_equal(stats(p, 0).written, 2);
	assert_false(vs_sinks_get(p->set, 1, &(struct vs_sink_stats){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_sink_is_given_each_event, make, drop),
		cmocka_unit_test_setup_teardown(sink_that_fails_harms_no_other, make, drop),
		cmocka_unit_test_setup_teardown(loss_is_told_to_the_others_once, make, drop),
		cmocka_unit_test_setup_teardown(losses_that_go_on_are_told_every_10_seconds, make, drop),
		cmocka_unit_test_setup_teardown(recovery_tells_how_many_numbers_are_missing, make, drop),
		cmocka_unit_test_setup_teardown(sink_that_comes_and_goes_is_one_stretch, make, drop),
		cmocka_unit_test_setup_teardown(new_stretch_counts_anew, make, drop),
		cmocka_unit_test_setup_teardown(two_sinks_are_told_of_apart, make, drop),
		cmocka_unit_test_setup_teardown(what_a_sink_kept_and_lost_later_is_counted_and_told, make, drop),
		cmocka_unit_test_setup_teardown(ticks_and_reopens_reach_who_wants_them, make, drop),
		cmocka_unit_test_setup_teardown(without_listener_losses_are_only_said, make, drop),
		cmocka_unit_test_setup_teardown(sink_of_a_name_that_is_there_takes_its_place_and_its_figures, make,
						drop),
		cmocka_unit_test_setup_teardown(removed_sink_is_closed_and_the_others_go_on, make, drop),
		cmocka_unit_test_setup_teardown(sink_too_many_is_closed_and_an_error, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
