/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "discover/uevent.h"

#define HEAD "change@/devices/virtual/misc/kvm\0ACTION=change\0SUBSYSTEM=misc\0"

static void kvm_event_gives_its_pid(void **state)
{
	static const char create[] = HEAD "DEVNAME=kvm\0EVENT=create\0CREATED=1\0COUNT=1\0PID=4711";
	static const char first[] = "change@/x\0PID=12\0DEVNAME=kvm";

	(void)state;
	assert_int_equal(vs_uevent_parse(create, sizeof(create)), 4711);
	assert_int_equal(vs_uevent_parse(first, sizeof(first)), 12);
}

static void events_of_other_devices_are_ignored(void **state)
{
	static const char net[] = "add@/devices/virtual/net/tap0\0DEVNAME=net/tun\0PID=1";
	static const char prefix[] = HEAD "DEVNAME=kvm2\0PID=1";
	static const char within[] = HEAD "NOTE=DEVNAME=kvm\0PID=1";

	(void)state;
	assert_int_equal(vs_uevent_parse(net, sizeof(net)), 0);
	assert_int_equal(vs_uevent_parse(prefix, sizeof(prefix)), 0);
	assert_int_equal(vs_uevent_parse(within, sizeof(within)), 0);
}

static void kvm_event_without_a_pid_is_ignored(void **state)
{
	static const char none[] = HEAD "DEVNAME=kvm\0EVENT=create";
	static const char empty[] = HEAD "DEVNAME=kvm\0PID=";
	static const char words[] = HEAD "DEVNAME=kvm\0PID=init";

	(void)state;
	assert_int_equal(vs_uevent_parse(none, sizeof(none)), 0);
	assert_int_equal(vs_uevent_parse(empty, sizeof(empty)), 0);
	assert_int_equal(vs_uevent_parse(words, sizeof(words)), 0);
}

static void pid_that_does_not_fit_is_ignored(void **state)
{
	static const char big[] = HEAD "DEVNAME=kvm\0PID=4294967296";
	static const char huge[] = HEAD "DEVNAME=kvm\0PID=99999999999999999999999999";
	static const char negative[] = HEAD "DEVNAME=kvm\0PID=-1";

	(void)state;
	assert_int_equal(vs_uevent_parse(big, sizeof(big)), 0);
	assert_int_equal(vs_uevent_parse(huge, sizeof(huge)), 0);
	assert_int_equal(vs_uevent_parse(negative, sizeof(negative)), 0);
}

static void cut_pid_is_not_believed(void **state)
{
	static const char text[] = HEAD "DEVNAME=kvm\0PID=4711";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *exact = malloc(len ? len : 1);

		memcpy(exact, text, len);
		assert_int_equal(vs_uevent_parse(exact, len), 0);
		free(exact);
	}
}

static void modules_that_come_and_go_are_told_from_other_devices(void **state)
{
	static const char add[] = "add@/module/vhost_net\0ACTION=add", gone[] = "remove@/module/tun";
	static const char other[] = "add@/devices/virtual/net/tap0\0X=@/module/", cut[] = "add@/module";

	(void)state;
	assert_true(vs_uevent_is_module(add, sizeof(add)));
	assert_true(vs_uevent_is_module(gone, sizeof(gone)));
	assert_false(vs_uevent_is_module(other, sizeof(other)));
	assert_false(vs_uevent_is_module(cut, sizeof(cut) - 1));
	assert_false(vs_uevent_is_module(add, 0));
}

static void garbage_is_read_within_its_bounds(void **state)
{
	static const char alphabet[] = "DEVNAME=kvmPID1\0\xff";
	uint64_t seed = 23;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = unit_random(&seed) % 100;
		char *text = malloc(len ? len : 1);

		for (size_t k = 0; k < len; k++)
			text[k] = alphabet[unit_random(&seed) % (sizeof(alphabet) - 1)];
		(void)vs_uevent_parse(text, len);
		(void)vs_uevent_is_module(text, len);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kvm_event_gives_its_pid),
		cmocka_unit_test(events_of_other_devices_are_ignored),
		cmocka_unit_test(kvm_event_without_a_pid_is_ignored),
		cmocka_unit_test(pid_that_does_not_fit_is_ignored),
		cmocka_unit_test(cut_pid_is_not_believed),
		cmocka_unit_test(modules_that_come_and_go_are_told_from_other_devices),
		cmocka_unit_test(garbage_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
