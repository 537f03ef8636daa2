/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "discover/domain.h"

#define UUID "0b3a1f5e-7c52-4d2b-9a44-2f0f6f9d1c11"
#define OTHER "99999999-7c52-4d2b-9a44-2f0f6f9d1c11"

static struct vs_domain_message m;
static struct vs_cmdline facts;
static char said[160];

static int fresh(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	memset(&facts, 0, sizeof(facts));
	m.type = VS_DOMAIN_IS;
	m.domain.id = 3;
	m.domain.pid = 100;
	(void)snprintf(m.domain.name, sizeof(m.domain.name), "web");
	(void)snprintf(m.domain.uuid, sizeof(m.domain.uuid), UUID);
	(void)snprintf(facts.name, sizeof(facts.name), "web");
	(void)snprintf(facts.uuid, sizeof(facts.uuid), UUID);
	return 0;
}

static bool agrees(uint32_t pid, int cgroup_id)
{
	return vs_domain_agrees(&m.domain, pid, &facts, cgroup_id, said, sizeof(said));
}

static void a_whole_message_is_accepted(void **state)
{
	(void)state;
	assert_true(vs_domain_accept(&m, sizeof(m)));
	assert_string_equal(m.domain.name, "web");
}

static void a_message_of_another_size_type_or_count_is_refused(void **state)
{
	(void)state;
	assert_false(vs_domain_accept(&m, sizeof(m) - 1));
	assert_false(vs_domain_accept(&m, 0));
	m.type = 0;
	assert_false(vs_domain_accept(&m, sizeof(m)));
	m.type = VS_DOMAIN_TYPE__N;
	assert_false(vs_domain_accept(&m, sizeof(m)));
	m.type = VS_DOMAIN_IS;
	m.domain.disks_n = VS_DOMAIN_DISK__N + 1;
	assert_false(vs_domain_accept(&m, sizeof(m)));
	m.domain.disks_n = 0;
	m.domain.nics_n = UINT32_MAX;
	assert_false(vs_domain_accept(&m, sizeof(m)));
}

static void texts_get_their_end_and_become_utf8(void **state)
{
	(void)state;
	memset(m.domain.name, 'x', sizeof(m.domain.name));
	memset(m.text, 0xff, sizeof(m.text));
	m.domain.disks_n = VS_DOMAIN_DISK__N;
	m.domain.nics_n = VS_DOMAIN_NIC__N;
	memset(m.domain.disks, 0xfe, sizeof(m.domain.disks));
	memset(m.domain.nics, 0xfe, sizeof(m.domain.nics));
	assert_true(vs_domain_accept(&m, sizeof(m)));
	assert_int_equal(strlen(m.domain.name), VS_NAME__N - 1);
	assert_true(strlen(m.text) < sizeof(m.text));
	assert_memory_equal(m.text, "\xef\xbf\xbd", 3);
	assert_true(strlen(m.domain.disks[15].path) < VS_PATH__N);
	assert_true(strlen(m.domain.nics[31].mac) < VS_MAC__N);
}

static void label(uint32_t i, const char *name, const char *value)
{
	m.domain.labels_n = i + 1;
	(void)snprintf(m.domain.labels[i].name, VS_LABEL_NAME__N, "%s", name);
	(void)snprintf(m.domain.labels[i].value, VS_LABEL_VALUE__N, "%s", value);
}

static void labels_must_have_free_names_once_and_a_value(void **state)
{
	(void)state;
	label(0, "nova_name", "web");
	label(1, "nova_project", "\xff");
	assert_true(vs_domain_accept(&m, sizeof(m)));
	assert_string_equal(m.domain.labels[1].value, "\xef\xbf\xbd");
	label(1, "nova_name", "web");
	assert_false(vs_domain_accept(&m, sizeof(m)));
	label(1, "vm", "web");
	assert_false(vs_domain_accept(&m, sizeof(m)));
	label(1, "a\"} 1\n", "web");
	assert_false(vs_domain_accept(&m, sizeof(m)));
	label(1, "flavor", "");
	assert_false(vs_domain_accept(&m, sizeof(m)));
	label(1, "flavor", "m1");
	memset(m.domain.labels[1].name, 'x', VS_LABEL_NAME__N);
	memset(m.domain.labels[1].value, 'x', VS_LABEL_VALUE__N);
	assert_true(vs_domain_accept(&m, sizeof(m)));
	assert_int_equal(strlen(m.domain.labels[1].value), VS_LABEL_VALUE__N - 1);
	m.domain.labels_n = VS_LABEL__N + 1;
	assert_false(vs_domain_accept(&m, sizeof(m)));
}

static void a_domain_and_its_process_agree(void **state)
{
	(void)state;
	assert_true(agrees(100, 3));
	assert_string_equal(said, "");
	assert_true(agrees(100, -1));
	m.domain.pid = 0;
	assert_true(agrees(100, -1));
	facts.name[0] = facts.uuid[0] = '\0';
	assert_true(agrees(100, -1));
}

static void each_disagreement_is_named(void **state)
{
	(void)state;
	assert_false(agrees(101, 3));
	assert_string_equal(said, "libvirt's pid file says process 100");
	assert_false(agrees(100, 4));
	assert_string_equal(said, "its cgroup is that of domain id 4");
	(void)snprintf(facts.name, sizeof(facts.name), "impostor");
	assert_false(agrees(100, 3));
	assert_string_equal(said, "the command line says name impostor");
	(void)snprintf(facts.uuid, sizeof(facts.uuid), OTHER);
	assert_false(agrees(100, 3));
	assert_string_equal(said, "the command line says UUID " OTHER);
}

static void uuids_are_compared_whatever_their_case(void **state)
{
	(void)state;
	for (char *c = facts.uuid; *c; c++)
		if (*c >= 'a' && *c <= 'f')
			*c = (char)(*c - 'a' + 'A');
	assert_true(agrees(100, 3));
}

static void a_long_name_is_cut_at_a_character(void **state)
{
	(void)state;
	memset(facts.name, 'x', 99);
	memcpy(facts.name + 99, "\xc3\xa4", 3);
	assert_false(agrees(100, 3));
	assert_null(strchr(said, '\xc3'));
}

static void cgroups_of_machined_and_of_libvirt_tell_the_id(void **state)
{
	(void)state;
	assert_int_equal(
		vs_domain_cgroup_parse("0::/machine.slice/machine-qemu\\x2d12\\x2dweb\\x2d1.scope/"
				       "libvirt/emulator\n"),
		12);
	assert_int_equal(vs_domain_cgroup_parse(
				 "3:blkio:/\n0::/machine/qemu-7-web-1.libvirt-qemu/emulator\n"),
			 7);
	assert_int_equal(
		vs_domain_cgroup_parse("0::/machine.slice/machine-qemu-5-web.libvirt-qemu\n"), -1);
}

static void other_cgroups_tell_none(void **state)
{
	(void)state;
	assert_int_equal(vs_domain_cgroup_parse(""), -1);
	assert_int_equal(vs_domain_cgroup_parse("0::/user.slice/qemu-system-x86\n"), -1);
	assert_int_equal(vs_domain_cgroup_parse("0::/qemu-12\n"), -1);
	assert_int_equal(vs_domain_cgroup_parse("0::/machine-qemu\\x2dx\\x2d1.scope\n"), -1);
	assert_int_equal(vs_domain_cgroup_parse("0::/qemu-99999999999-a\n"), -1);
	assert_int_equal(
		vs_domain_cgroup_parse("0::/machine.slice/machine-lxc\\x2d1\\x2da.scope\n"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_whole_message_is_accepted, fresh),
		cmocka_unit_test_setup(a_message_of_another_size_type_or_count_is_refused, fresh),
		cmocka_unit_test_setup(texts_get_their_end_and_become_utf8, fresh),
		cmocka_unit_test_setup(labels_must_have_free_names_once_and_a_value, fresh),
		cmocka_unit_test_setup(a_domain_and_its_process_agree, fresh),
		cmocka_unit_test_setup(each_disagreement_is_named, fresh),
		cmocka_unit_test_setup(uuids_are_compared_whatever_their_case, fresh),
		cmocka_unit_test_setup(a_long_name_is_cut_at_a_character, fresh),
		cmocka_unit_test(cgroups_of_machined_and_of_libvirt_tell_the_id),
		cmocka_unit_test(other_cgroups_tell_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
