/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/clock.h"
#include "model/cpu.h"

static struct vs_sample older, newer;
static struct vs_vm_sample vm;
static const struct vs_kvm_names names = {
	.n = 3,
	.name = { "halt_poll_fail_ns", "halt_poll_success_ns", "io_exits" },
	.exits = { false, false, true },
	.polling = true,
};
static json_t *cpu;

static int make(void **state)
{
	(void)state;
	vm = (struct vs_vm_sample){ .uid = 1, .pid = 4711 };
	older.threads_ns = 5 * VS_NS_PER_S;
	newer.threads_ns = 15 * VS_NS_PER_S; /* 10 s of wall time */
	return 0;
}

static int done(void **state)
{
	(void)state;
	vs_sample_done(&older);
	vs_sample_done(&newer);
	json_decref(cpu);
	cpu = NULL;
	return 0;
}

static struct vs_thread_sample *add(struct vs_sample *s, uint32_t tid, uint32_t role, double run_s,
				    double delay_s)
{
	struct vs_thread_sample *t = vs_sample_add_thread(s);

	t->vm_uid = 1;
	t->tid = tid;
	t->start_ns = 77;
	t->role = (uint16_t)role;
	t->index = role == VS_ROLE_VCPU ? (int16_t)(tid % 10) : -1;
	t->run_ns = (uint64_t)(run_s * 1e9);
	t->run_delay_ns = (uint64_t)(delay_s * 1e9);
	return t;
}

/* A thread that ran and waited so long between the samples. */
static void between(uint32_t tid, uint32_t role, double run_s, double delay_s)
{
	(void)add(&older, tid, role, 100, 50);
	(void)add(&newer, tid, role, 100 + run_s, 50 + delay_s);
}

static void build(void)
{
	vs_sample_sort(&older);
	vs_sample_sort(&newer);
	cpu = vs_cpu_report(&older, &newer, &vm);
	assert_non_null(cpu);
}

static void assert_ratio(const json_t *o, const char *key, double want)
{
	const json_t *v = json_object_get(o, key);

	assert_true(json_is_real(v));
	assert_true(json_real_value(v) > want - 1e-6 && json_real_value(v) < want + 1e-6);
}

static bool is_null(const char *key)
{
	return json_is_null(json_object_get(cpu, key));
}

static void tell_kvm(struct vs_sample *s, uint64_t fail_ns, uint64_t success_ns, uint64_t exits)
{
	struct vs_kvm_sample *k = vs_sample_add_kvm(s);

	k->vm_uid = 1;
	k->value[0] = fail_ns;
	k->value[1] = success_ns;
	k->value[2] = exits;
	s->kvm_names = &names;
}

static void utilisation_is_run_over_run_and_idle(void **state)
{
	(void)state;
	between(10, VS_ROLE_VCPU, 2, 5); /* idle 3 */
	build();
	assert_ratio(cpu, "utilization_ratio", 2.0 / 5.0);
	assert_ratio(cpu, "steal_ratio", 0.5);
}

static void vcpus_are_summed_not_averaged(void **state)
{
	(void)state;
	between(10, VS_ROLE_VCPU, 1, 8);  /* idle 1 */
	between(11, VS_ROLE_VCPU, 0, 0);  /* idle 10 */
	build();
	assert_ratio(cpu, "utilization_ratio", 1.0 / 12.0);
	assert_ratio(cpu, "steal_ratio", 8.0 / 20.0);
	assert_int_equal(json_integer_value(json_object_get(cpu, "vcpus")), 2);
}

static void other_threads_are_listed_but_are_no_vcpus(void **state)
{
	const json_t *t;

	(void)state;
	between(10, VS_ROLE_VCPU, 1, 0);
	between(20, VS_ROLE_IOTHREAD, 5, 4);
	build();
	assert_ratio(cpu, "utilization_ratio", 0.1);
	assert_ratio(cpu, "steal_ratio", 0);
	t = json_array_get(json_object_get(cpu, "threads"), 1);
	assert_string_equal(json_string_value(json_object_get(t, "role")), "iothread");
	assert_ratio(t, "run_ratio", 0.5);
	assert_ratio(t, "run_delay_ratio", 0.4);
	assert_true(json_is_null(json_object_get(t, "index")));
}

static void sleeping_vcpu_is_zero_and_not_null(void **state)
{
	(void)state;
	between(10, VS_ROLE_VCPU, 0, 0);
	build();
	assert_ratio(cpu, "utilization_ratio", 0);
	assert_ratio(cpu, "steal_ratio", 0);
}

static void one_sample_is_null(void **state)
{
	(void)state;
	(void)add(&newer, 10, VS_ROLE_VCPU, 5, 5);
	build();
	assert_true(is_null("utilization_ratio") && is_null("steal_ratio") && is_null("halt_polling"));
	assert_int_equal(json_integer_value(json_object_get(cpu, "vcpus")), 1);
	assert_true(json_is_null(json_object_get(
		json_array_get(json_object_get(cpu, "threads"), 0), "run_ratio")));
}

static void threads_that_were_not_read_are_null(void **state)
{
	(void)state;
	older.threads_ns = newer.threads_ns = 0;
	vm.vcpus = 4;
	build();
	assert_true(is_null("utilization_ratio") && is_null("threads") && is_null("exits"));
	assert_int_equal(json_integer_value(json_object_get(cpu, "vcpus")), 4);
}

static void tid_given_to_another_thread_is_not_its_predecessor(void **state)
{
	struct vs_cpu_time t;

	(void)state;
	(void)add(&older, 10, VS_ROLE_VCPU, 1, 1);
	add(&newer, 10, VS_ROLE_VCPU, 3, 1)->start_ns = 78;
	assert_false(vs_cpu_since(&older, &newer, &newer.threads[0], &t));
	newer.threads[0].start_ns = 77;
	assert_true(vs_cpu_since(&older, &newer, &newer.threads[0], &t));
	newer.threads[0].run_ns = 5; /* without start times: went backwards */
	assert_false(vs_cpu_since(&older, &newer, &newer.threads[0], &t));
}

static void idle_is_never_below_zero(void **state)
{
	struct vs_cpu_time t = { .wall_ns = 10, .run_ns = 8, .run_delay_ns = 3 };

	(void)state;
	assert_int_equal(vs_cpu_idle_ns(&t), 0);
	t.run_ns = 4;
	assert_int_equal(vs_cpu_idle_ns(&t), 3);
	between(10, VS_ROLE_VCPU, 10.004, 0); /* read a tick later than the clock */
	build();
	assert_ratio(cpu, "utilization_ratio", 1);
	assert_ratio(json_array_get(json_object_get(cpu, "threads"), 0), "run_ratio", 1);
}

static void halt_polling_is_idle_time_where_kvm_tells(void **state)
{
	(void)state;
	between(10, VS_ROLE_VCPU, 4, 0);
	tell_kvm(&older, 7, 9, 1000);
	tell_kvm(&newer, 7 + VS_NS_PER_S, 9 + 2 * VS_NS_PER_S, 1234);
	build();
	assert_ratio(cpu, "utilization_ratio", 0.1);
	assert_string_equal(json_string_value(json_object_get(cpu, "halt_polling")), "subtracted");
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(cpu, "exits"), "io_exits")),
			 234);
	assert_int_equal(json_object_size(json_object_get(cpu, "exits")), 1);
}

static void more_polling_than_running_is_no_running(void **state)
{
	(void)state;
	between(10, VS_ROLE_VCPU, 1, 0);
	tell_kvm(&older, 0, 0, 0);
	tell_kvm(&newer, 2 * VS_NS_PER_S, 0, 0);
	build();
	assert_ratio(cpu, "utilization_ratio", 0);
}

static void halt_polling_that_kvm_does_not_tell_is_marked_included(void **state)
{
	(void)state;
	between(10, VS_ROLE_VCPU, 4, 0);
	tell_kvm(&newer, 1, 1, 1); /* once only */
	build();
	assert_ratio(cpu, "utilization_ratio", 0.4);
	assert_string_equal(json_string_value(json_object_get(cpu, "halt_polling")), "included");
	assert_true(is_null("exits"));
}

static void threads_of_other_vms_do_not_count(void **state)
{
	(void)state;
	between(10, VS_ROLE_VCPU, 1, 0);
	add(&older, 11, VS_ROLE_VCPU, 0, 0)->vm_uid = 2;
	add(&newer, 11, VS_ROLE_VCPU, 9, 0)->vm_uid = 2;
	build();
	assert_ratio(cpu, "utilization_ratio", 0.1);
	assert_int_equal(json_array_size(json_object_get(cpu, "threads")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(utilisation_is_run_over_run_and_idle, make, done),
		cmocka_unit_test_setup_teardown(vcpus_are_summed_not_averaged, make, done),
		cmocka_unit_test_setup_teardown(other_threads_are_listed_but_are_no_vcpus, make, done),
		cmocka_unit_test_setup_teardown(sleeping_vcpu_is_zero_and_not_null, make, done),
		cmocka_unit_test_setup_teardown(one_sample_is_null, make, done),
		cmocka_unit_test_setup_teardown(threads_that_were_not_read_are_null, make, done),
		cmocka_unit_test_setup_teardown(tid_given_to_another_thread_is_not_its_predecessor,
						make, done),
		cmocka_unit_test_setup_teardown(idle_is_never_below_zero, make, done),
		cmocka_unit_test_setup_teardown(halt_polling_is_idle_time_where_kvm_tells, make, done),
		cmocka_unit_test_setup_teardown(more_polling_than_running_is_no_running, make, done),
		cmocka_unit_test_setup_teardown(
			halt_polling_that_kvm_does_not_tell_is_marked_included, make, done),
		cmocka_unit_test_setup_teardown(threads_of_other_vms_do_not_count, make, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
