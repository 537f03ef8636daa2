/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "serve/event_memory.h"

struct place {
	struct vs_event_memory *memory;
	struct vs_sink *sink;
	int seen;
};

static struct place *with(uint32_t events, uint32_t bytes)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_int_equal(vs_event_memory_new(events, bytes, &p->memory), 0);
	assert_int_equal(vs_event_memory_sink(p->memory, &p->sink), 0);
	return p;
}

static void done(struct place *p)
{
	vs_sink_memory.close(&p->sink);
	vs_event_memory_free(&p->memory);
	assert_null(p->memory);
	free(p);
}

/* @fill: bytes of text in it */
static int emit(struct place *p, int seq, const char *vm, int fill)
{
	json_t *j = json_pack("{s:i,s:s,s:o,s:s}", "seq", seq, "type", "vm.start", "vm",
			      vm ? json_pack("{s:s}", "name", vm) : json_null(), "text", "");
	char *fat = calloc(1, (size_t)fill + 1), *line;
	struct vs_sink_event e = { .json = j };
	int r;

	memset(fat, 'x', (size_t)fill);
	(void)json_object_set_new(j, "text", json_string(fat));
	line = json_dumps(j, JSON_COMPACT);
	e.line = line;
	e.len = strlen(line) + 1;
	line[e.len - 1] = '\n';
	r = vs_sink_memory.emit(p->sink, &e);
	free(line);
	free(fat);
	json_decref(j);
	return r;
}

/* Each that is there is whole, and they are numbered up to @last without a hole. */
static uint64_t check(const struct place *p, int last)
{
	uint64_t begin = vs_event_memory_begin(p->memory), end = vs_event_memory_end(p->memory);

	for (uint64_t i = begin; i < end; i++) {
		struct vs_event_record e = vs_event_memory_get(p->memory, i);
		json_t *j = json_loadb(e.line, e.len, 0, NULL);

		assert_non_null(j);
		assert_int_equal(e.line[e.len - 1], '\n');
		assert_int_equal(e.seq, last - (int)(end - 1 - i));
		assert_int_equal(e.seq, json_integer_value(json_object_get(j, "seq")));
		assert_string_equal(e.type, "vm.start");
		json_decref(j);
	}
	return end - begin;
}

static void what_was_put_in_comes_out(void **state)
{
	struct place *p = with(10, 4096);
	struct vs_event_record e;

	(void)state;
	assert_int_equal(check(p, 0), 0);
	assert_int_equal(emit(p, 7, "web", 3), 0);
	assert_int_equal(emit(p, 8, NULL, 0), 0);
	assert_int_equal(check(p, 8), 2);
	e = vs_event_memory_get(p->memory, 0);
	assert_string_equal(e.vm, "web");
	e = vs_event_memory_get(p->memory, 1);
	assert_string_equal(e.vm, "");
	done(p);
}

static void number_of_events_is_bounded_and_the_oldest_go(void **state)
{
	struct place *p = with(10, 1 << 20);

	(void)state;
	for (int i = 1; i <= 10; i++)
		assert_int_equal(emit(p, i, "a", i), 0);
	assert_int_equal(check(p, 10), 10);
	for (int i = 11; i <= 35; i++) {
		assert_int_equal(emit(p, i, "a", i), 0);
		assert_int_equal(check(p, i), 10);
	}
	assert_int_equal(vs_event_memory_begin(p->memory), 25);
	assert_int_equal(vs_event_memory_end(p->memory), 35);
	done(p);
}

static void bytes_are_bounded_whatever_the_sizes_are(void **state)
{
	uint64_t seed = 7;

	(void)state;
	/* Sizes around and on the ring's: every way to meet its end. */
	for (uint32_t round = 0; round < 250; round++) {
		/* The last ones end with a page: behind it is nothing of ours. */
		uint32_t bytes = round < 200 ? 400 + round : 4096;
		struct place *p = with(1000, bytes);

		for (int i = 1; i <= 80; i++) {
			assert_int_equal(emit(p, i, "vm", (int)(unit_random(&seed) % 150)), 0);
			assert_in_range(check(p, i), 1, 1000);
		}
		done(p);
	}
}

static void event_larger_than_the_ring_is_refused_and_harms_nothing(void **state)
{
	struct place *p = with(10, 500);

	(void)state;
	assert_int_equal(emit(p, 1, "a", 10), 0);
	assert_int_equal(emit(p, 2, "a", 1000), -EMSGSIZE);
	assert_int_equal(check(p, 1), 1);
	assert_int_equal(emit(p, 2, "a", 10), 0);
	assert_int_equal(check(p, 2), 2);
	done(p);
}

static void on_event(void *data)
{
	struct place *p = data;

	p->seen++;
	/* It is there already when the watcher hears of it. */
	assert_int_equal(vs_event_memory_get(p->memory, vs_event_memory_end(p->memory) - 1).seq, p->seen);
}

static void watcher_hears_of_each_event_until_it_leaves(void **state)
{
	struct place *p = with(3, 4096);

	(void)state;
	vs_event_memory_watch(p->memory, on_event, p);
	for (int i = 1; i <= 5; i++)
		assert_int_equal(emit(p, i, "a", 0), 0);
	assert_int_equal(p->seen, 5);
	vs_event_memory_watch(p->memory, NULL, NULL);
	assert_int_equal(emit(p, 6, "a", 0), 0);
	assert_int_equal(p->seen, 5);
	done(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_in_comes_out),
		cmocka_unit_test(number_of_events_is_bounded_and_the_oldest_go),
		cmocka_unit_test(bytes_are_bounded_whatever_the_sizes_are),
		cmocka_unit_test(event_larger_than_the_ring_is_refused_and_harms_nothing),
		cmocka_unit_test(watcher_hears_of_each_event_until_it_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
