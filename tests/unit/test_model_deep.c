/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "model/deep.h"
#include "term/deep.h"

#define MS 1000000ull

static struct vs_deep_sample older, newer;
static struct vs_sample vms;
static json_t *deep;

static void make_room(struct vs_deep_sample *s)
{
	s->threads_n = 3;
	s->threads = calloc(s->threads_n, sizeof(*s->threads));
	s->ran_size = 64;
	s->ran = calloc(s->ran_size, sizeof(*s->ran));
	assert_true(s->threads && s->ran);
	for (uint32_t i = 1; i < 3; i++)
		s->threads[i] = (struct vs_deep_thread_sample){
			.vm_uid = 1, .index = i, .tid = 100 + i, .role = VS_ROLE_VCPU,
			.vcpu = (int16_t)(i - 1), .name = "CPU 0/KVM"
		};
}

static int make(void **state)
{
	struct vs_vm_sample *v;

	(void)state;
	make_room(&older);
	make_room(&newer);
	older.mono_ns = 5000 * MS;
	newer.mono_ns = 15000 * MS;
	for (uint32_t i = 1; i < 3; i++) {
		v = vs_sample_add_vm(&vms);
		v->uid = i;
		v->pid = 1000 * i;
		(void)snprintf(v->name, sizeof(v->name), "web%u", i);
	}
	return 0;
}

static int done(void **state)
{
	(void)state;
	vs_deep_sample_done(&older);
	vs_deep_sample_done(&newer);
	vs_sample_done(&vms);
	json_decref(deep);
	deep = NULL;
	return 0;
}

static void ran(struct vs_deep_sample *s, uint32_t index, uint32_t pid, uint32_t tid,
		const char *comm, uint64_t ns)
{
	struct vs_deep_ran_sample *r = &s->ran[s->ran_n++];

	*r = (struct vs_deep_ran_sample){ .index = index, .pid = pid, .tid = tid, .ns = ns };
	(void)snprintf(r->comm, sizeof(r->comm), "%s", comm);
}

static void waited(struct vs_deep_sample *s, uint32_t index, uint64_t ns)
{
	s->threads[index].waited_ns += ns;
	s->threads[index].delay.sum_ns += ns;
	s->threads[index].delay.n[vs_hist_index(ns)]++;
}

static const json_t *thread(size_t i)
{
	return json_array_get(json_object_get(deep, "threads"), i);
}

static const json_t *runner(size_t of, size_t i)
{
	return json_array_get(json_object_get(thread(of), "ran_instead"), i);
}

static void build(void)
{
	vs_deep_sort(&older);
	vs_deep_sort(&newer);
	deep = vs_deep_report(&older, &newer, &vms);
	assert_non_null(deep);
}

static double number(const json_t *o, const char *key)
{
	assert_true(json_is_number(json_object_get(o, key)));
	return json_number_value(json_object_get(o, key));
}

static void who_ran_longest_comes_first_with_its_share(void **state)
{
	(void)state;
	waited(&newer, 1, 10 * MS);
	ran(&newer, 1, 7, 7, "cron", 1 * MS);
	ran(&newer, 1, 4711, 4711, "hog", 9 * MS);
	build();
	assert_int_equal(json_array_size(json_object_get(deep, "threads")), 2);
	assert_string_equal(json_string_value(json_object_get(runner(0, 0), "comm")), "hog");
	assert_true(number(runner(0, 0), "share") == 0.9);
	assert_true(number(runner(0, 1), "time_us") == 1000);
	assert_true(json_is_null(json_object_get(runner(0, 0), "vm")));
	assert_true(number(thread(0), "waited_us") == 10000);
	assert_true(number(deep, "duration_s") == 10);
}

static void figures_are_those_of_the_window(void **state)
{
	(void)state;
	waited(&older, 1, 10 * MS);
	ran(&older, 1, 4711, 4711, "hog", 10 * MS);
	waited(&newer, 1, 10 * MS);
	waited(&newer, 1, 4 * MS);
	ran(&newer, 1, 4711, 4711, "hog", 13 * MS);
	newer.threads[1].unexplained_ns = 1 * MS;
	build();
	assert_true(number(thread(0), "waited_us") == 4000);
	assert_true(number(runner(0, 0), "time_us") == 3000);
	assert_true(number(thread(0), "unexplained_us") == 1000);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(thread(0), "run_delay_us"), "count")), 1);
}

static void thread_that_joined_since_counts_from_zero(void **state)
{
	(void)state;
	older.threads_n = 1;
	waited(&newer, 2, 2 * MS);
	build();
	assert_true(number(thread(1), "waited_us") == 2000);
}

static void threads_of_vms_are_named_by_their_vm(void **state)
{
	struct vs_thread_sample *t = vs_sample_add_thread(&vms);

	(void)state;
	t->vm_uid = 2; /* a kernel thread that works for web2 */
	t->tid = 55;
	waited(&newer, 1, 9 * MS);
	ran(&newer, 1, 2000, 2005, "CPU 3/KVM", 5 * MS);
	ran(&newer, 1, 55, 55, "vhost-2000", 4 * MS);
	build();
	assert_string_equal(json_string_value(json_object_get(runner(0, 0), "vm")), "web2");
	assert_string_equal(json_string_value(json_object_get(runner(0, 1), "vm")), "web2");
}

static void eleventh_and_later_are_summed(void **state)
{
	(void)state;
	waited(&newer, 1, 100 * MS);
	for (uint32_t i = 1; i <= 12; i++)
		ran(&newer, 1, i, i, "x", i * MS);
	build();
	assert_int_equal(json_array_size(json_object_get(thread(0), "ran_instead")), 10);
	assert_true(number(thread(0), "other_us") == 3000);
}

static void idle_emulator_threads_are_left_out(void **state)
{
	(void)state;
	newer.threads[2].role = VS_ROLE_EMULATOR;
	build();
	assert_int_equal(json_array_size(json_object_get(deep, "threads")), 1);
	assert_true(number(thread(0), "waited_us") == 0);
}

static void wait_under_way_is_charged_back_to_its_beginning(void **state)
{
	struct vs_deep_cpu cpu = { .head = 3,
				   .ran = { { 10, 1, 1, "a" }, { 40, 2, 2, "b" }, { 70, 3, 3, "c" } } };

	(void)state;
	assert_int_equal(vs_deep_charge(&newer, 1, &cpu, 50, 100), 0);
	assert_int_equal(newer.ran_n, 2);
	assert_int_equal(newer.ran[0].tid, 3);
	assert_int_equal(newer.ran[0].ns, 30);
	assert_int_equal(newer.ran[1].tid, 2);
	assert_int_equal(newer.ran[1].ns, 20);
	/* Nobody is known for what was before the first slice. */
	assert_int_equal(vs_deep_charge(&newer, 2, &cpu, 4, 100), 6);
}

static void ring_that_went_round_explains_its_own_length(void **state)
{
	struct vs_deep_cpu cpu = { .head = VS_RAN__N + 3 };

	(void)state;
	for (uint32_t i = 0; i < VS_RAN__N; i++) /* slice n began at n * 10 */
		cpu.ran[i].in_ns = (i < 3 ? i + VS_RAN__N : i) * 10;
	assert_int_equal(vs_deep_charge(&newer, 1, &cpu, 0, cpu.head * 10), 30);
	assert_int_equal(newer.ran_n, VS_RAN__N);
}

static void rows_of_one_runner_are_one_row(void **state)
{
	(void)state;
	waited(&newer, 1, 10 * MS);
	ran(&newer, 1, 7, 7, "hog", 4 * MS);
	ran(&newer, 1, 7, 7, "hog", 6 * MS);
	build();
	assert_int_equal(json_array_size(json_object_get(thread(0), "ran_instead")), 1);
	assert_true(number(runner(0, 0), "share") == 1);
}

static void text_says_who_waited_and_who_ran(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	waited(&newer, 1, 312 * MS);
	ran(&newer, 1, 4711, 4711, "stress-ng", 284 * MS);
	ran(&newer, 1, 0, 0, "swapper/0", 28 * MS);
	build();
	vs_term_deep(f, deep, "", "");
	(void)fclose(f);
	assert_non_null(strstr(text, "VM web1 vCPU 0 waited 312 ms of 10.0 s (p99 "));
	assert_non_null(strstr(text, ": 91 % stress-ng(4711), 9 % nobody, the CPU was idle\n"));
	assert_null(strstr(text, "vCPU 1"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_ran_longest_comes_first_with_its_share, make, done),
		cmocka_unit_test_setup_teardown(figures_are_those_of_the_window, make, done),
		cmocka_unit_test_setup_teardown(thread_that_joined_since_counts_from_zero, make, done),
		cmocka_unit_test_setup_teardown(threads_of_vms_are_named_by_their_vm, make, done),
		cmocka_unit_test_setup_teardown(eleventh_and_later_are_summed, make, done),
		cmocka_unit_test_setup_teardown(idle_emulator_threads_are_left_out, make, done),
		cmocka_unit_test_setup_teardown(wait_under_way_is_charged_back_to_its_beginning, make,
						done),
		cmocka_unit_test_setup_teardown(ring_that_went_round_explains_its_own_length, make,
						done),
		cmocka_unit_test_setup_teardown(rows_of_one_runner_are_one_row, make, done),
		cmocka_unit_test_setup_teardown(text_says_who_waited_and_who_ran, make, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
