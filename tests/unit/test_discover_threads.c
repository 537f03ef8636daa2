/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "discover/kvmstat.h"
#include "discover/threads.h"

#include <sys/stat.h>

#define ORDINARY 0x00400040u /* flags of a thread of no special kind */

static void role_is(const char *name, uint32_t flags, uint64_t guest_ns, enum vs_role want, int index)
{
	int got;

	if (vs_thread_role(name, flags, guest_ns, &got) != want || got != index)
		print_error("'%s': role %u, index %d\n", name,
			    vs_thread_role(name, flags, guest_ns, &got), got);
	assert_int_equal(vs_thread_role(name, flags, guest_ns, &got), want);
	assert_int_equal(got, index);
}

static void vcpus_of_each_vmm_are_known_by_name(void **state)
{
	(void)state;
	role_is("CPU 0/KVM", ORDINARY, 0, VS_ROLE_VCPU, 0);
	role_is("CPU 127/TCG", ORDINARY, 0, VS_ROLE_VCPU, 127);
	role_is("ALL CPUs/TCG", ORDINARY, 0, VS_ROLE_VCPU, -1);
	role_is("vcpu3", ORDINARY, 0, VS_ROLE_VCPU, 3);
	role_is("fc_vcpu 1", ORDINARY, 0, VS_ROLE_VCPU, 1);
	role_is("crosvm_vcpu12", ORDINARY, 0, VS_ROLE_VCPU, 12);
	role_is("kvm-vcpu-2", ORDINARY, 0, VS_ROLE_VCPU, 2);
}

static void thread_that_ran_a_guest_is_a_vcpu_without_a_name(void **state)
{
	(void)state;
	role_is("qemu-system-x86", ORDINARY, 0, VS_ROLE_EMULATOR, -1);
	role_is("qemu-system-x86", ORDINARY, 4000000, VS_ROLE_VCPU, -1);
}

static void names_that_only_begin_alike_are_no_vcpus(void **state)
{
	(void)state;
	role_is("CPU throttle", ORDINARY, 0, VS_ROLE_EMULATOR, -1);
	role_is("CPU ", ORDINARY, 0, VS_ROLE_EMULATOR, -1);
	role_is("vcpu-manager", ORDINARY, 0, VS_ROLE_EMULATOR, -1);
	role_is("", ORDINARY, 0, VS_ROLE_EMULATOR, -1);
	role_is("CPU 99999999", ORDINARY, 0, VS_ROLE_VCPU, -1);
}

static void iothreads_carry_the_name_of_their_object(void **state)
{
	(void)state;
	role_is("IO iothread0", ORDINARY, 0, VS_ROLE_IOTHREAD, -1);
	role_is("IOMMU", ORDINARY, 0, VS_ROLE_EMULATOR, -1);
}

static void workers_are_what_the_kernel_says_and_not_a_name_alone(void **state)
{
	(void)state;
	role_is("vhost-4711", VS_PF_KTHREAD, 0, VS_ROLE_WORKER, -1);
	role_is("vhost-4711", ORDINARY | VS_PF_USER_WORKER, 0, VS_ROLE_WORKER, -1);
	role_is("vhost-4711", ORDINARY, 0, VS_ROLE_EMULATOR, -1);
	role_is("vhost-4711", 0, 0, VS_ROLE_WORKER, -1); /* flags unknown: /proc was read */
	role_is("iou-wrk-4711", ORDINARY | VS_PF_USER_WORKER, 0, VS_ROLE_EMULATOR, -1);
}

static void schedstat_is_run_delay_and_slices(void **state)
{
	struct vs_thread_sample t = { .run_ns = 1 };

	(void)state;
	assert_int_equal(vs_thread_parse_schedstat("18446744073709551615 22 3\n", &t), 0);
	assert_true(t.run_ns == UINT64_MAX && t.run_delay_ns == 22 && t.slices == 3);
	assert_int_equal(vs_thread_parse_schedstat("5 22\n", &t), -EINVAL);
	assert_int_equal(vs_thread_parse_schedstat("", &t), -EINVAL);
	assert_int_equal(vs_thread_parse_schedstat("a b c", &t), -EINVAL);
	assert_true(t.run_ns == UINT64_MAX); /* untouched */
}

static void count_threads(void *data, uint32_t tid)
{
	struct vs_thread_sample t;

	if (!vs_thread_read((uint32_t)getpid(), tid, &t) && t.tid == tid)
		++*(int *)data;
}

static void own_threads_are_found_and_read(void **state)
{
	struct vs_thread_sample t;
	int n = 0;

	(void)state;
	assert_int_equal(vs_threads_each((uint32_t)getpid(), count_threads, &n), 0);
	assert_true(n >= 1);
	assert_int_equal(vs_thread_read(0, (uint32_t)getpid(), &t), 0);
	assert_true(t.run_ns > 0);
	assert_true(vs_threads_each(4194305, count_threads, &n) < 0);
	assert_true(vs_thread_read(0, 4194305, &t) < 0);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static void kvm_statistics_are_those_that_the_directory_has(void **state)
{
	static const char *const files[] = { "io_exits", "halt_poll_fail_ns", "halt_poll_success_ns",
					     "pages_4k", NULL };
	struct vs_kvm_names names;
	struct vs_kvm_sample sample = { 0 };
	char *dir = unit_make_dir();

	(void)state;
	assert_true(vs_kvmstat_names("/nonexistent", &names) < 0);
	assert_int_equal(vs_kvmstat_names(dir, &names), -ENOENT);
	write_file(dir, "io_exits", "12\n");
	write_file(dir, "halt_poll_fail_ns", "5\n");
	write_file(dir, "pages_4k", "9\n");
	assert_int_equal(vs_kvmstat_names(dir, &names), 0);
	assert_int_equal(names.n, 2);
	assert_false(names.polling); /* the other half is missing */
	write_file(dir, "halt_poll_success_ns", "7\n");
	assert_int_equal(vs_kvmstat_names(dir, &names), 0);
	assert_true(names.polling);
	assert_string_equal(names.name[2], "io_exits");
	assert_true(names.exits[2] && !names.exits[0] && !names.exits[1]);
	assert_int_equal(vs_kvmstat_read(dir, ".", &names, &sample), 0);
	assert_true(sample.value[0] == 5 && sample.value[1] == 7 && sample.value[2] == 12);
	assert_int_equal(vs_kvmstat_read(dir, ".", &names, &sample), 0);
	assert_true(sample.value[2] == 24); /* added: a process of two VMs */
	assert_int_equal(vs_kvmstat_check(dir), 0);
	assert_int_equal(vs_kvmstat_check("/nonexistent"), -ENOENT);
	assert_int_equal(vs_kvmstat_read(dir, "7-7", &names, &sample), -ENOENT);
	unit_remove_dir(dir, files);
}

static void exits_are_told_from_other_statistics(void **state)
{
	(void)state;
	assert_true(vs_kvmstat_is_exit("exits"));
	assert_true(vs_kvmstat_is_exit("wfi_exit_stat"));
	assert_true(vs_kvmstat_is_exit("irq_injections"));
	assert_false(vs_kvmstat_is_exit("insn_emulation_fail"));
	assert_false(vs_kvmstat_is_exit("halt_wait_ns"));
	assert_false(vs_kvmstat_is_exit("pages_2m"));
}

static void note_vm(void *data, uint32_t tid, const char *name)
{
	(void)snprintf(data, 64, "%u %s", tid, name);
}

static void directories_of_vms_are_told_from_statistics(void **state)
{
	static const char *const files[] = { "exits", NULL };
	char *dir = unit_make_dir(), path[256], seen[64] = "";

	(void)state;
	write_file(dir, "exits", "0\n");
	(void)snprintf(path, sizeof(path), "%s/4711-12", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(vs_kvmstat_each(dir, note_vm, seen), 0);
	assert_string_equal(seen, "4711 4711-12");
	assert_int_equal(rmdir(path), 0);
	unit_remove_dir(dir, files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vcpus_of_each_vmm_are_known_by_name),
		cmocka_unit_test(thread_that_ran_a_guest_is_a_vcpu_without_a_name),
		cmocka_unit_test(names_that_only_begin_alike_are_no_vcpus),
		cmocka_unit_test(iothreads_carry_the_name_of_their_object),
		cmocka_unit_test(workers_are_what_the_kernel_says_and_not_a_name_alone),
		cmocka_unit_test(schedstat_is_run_delay_and_slices),
		cmocka_unit_test(own_threads_are_found_and_read),
		cmocka_unit_test(kvm_statistics_are_those_that_the_directory_has),
		cmocka_unit_test(exits_are_told_from_other_statistics),
		cmocka_unit_test(directories_of_vms_are_told_from_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
