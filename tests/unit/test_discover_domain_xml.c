/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "discover/domain_xml.h"

#include <time.h>

#define UUID "0b3a1f5e-7c52-4d2b-9a44-2f0f6f9d1c11"
#define HEAD "<domain type='kvm' id='7'><name>web</name><uuid>" UUID "</uuid>"
#define TAIL "</domain>"

static struct vs_domain d;

static int parse(const char *xml)
{
	memset(&d, 0, sizeof(d));
	return vs_domain_xml_parse(xml, strlen(xml), &vs_label_rules_default, &d);
}

static void a_domain_is_read_as_a_whole(void **state)
{
	(void)state;
	assert_int_equal(
		parse("<?xml version='1.0'?>" HEAD "<title>the web</title>"
		      "<memory unit='KiB'>4194304</memory>"
		      "<currentMemory unit='KiB'>2097152</currentMemory>"
		      "<devices>"
		      "<disk type='file' device='disk'><source file='/srv/a.qcow2' index='2'>"
		      "<backingStore type='file'><source file='/srv/base'/></backingStore></source>"
		      "<target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>"
		      "<disk type='block' device='disk'><source dev='/dev/vg/b'/>"
		      "<target dev='vdb'/></disk>"
		      "<disk type='network' device='disk'><source protocol='rbd' name='pool/img'/>"
		      "<target dev='vdc'/></disk>"
		      "<disk type='file' device='cdrom'><target dev='sda'/></disk>"
		      "<interface type='bridge'><mac address='52:54:00:12:34:56'/>"
		      "<source bridge='br0'/><target dev='vnet3'/><alias name='net0'/></interface>"
		      "<interface type='user'><mac address='52:54:00:12:34:57'/></interface>"
		      "</devices>" TAIL),
		0);
	assert_int_equal(d.id, 7);
	assert_string_equal(d.name, "web");
	assert_string_equal(d.uuid, UUID);
	assert_string_equal(d.title, "the web");
	assert_int_equal(d.memory_bytes, 4ull << 30);
	assert_int_equal(d.balloon_bytes, 2ull << 30);
	assert_int_equal(d.disks_n, 4);
	assert_string_equal(d.disks[0].target, "vda");
	assert_string_equal(d.disks[0].alias, "virtio-disk0");
	assert_string_equal(d.disks[0].path, "/srv/a.qcow2");
	assert_string_equal(d.disks[1].path, "/dev/vg/b");
	assert_string_equal(d.disks[2].path, "rbd:pool/img");
	assert_string_equal(d.disks[3].target, "sda");
	assert_string_equal(d.disks[3].path, "");
	assert_int_equal(d.nics_n, 2);
	assert_string_equal(d.nics[0].tap, "vnet3");
	assert_string_equal(d.nics[0].mac, "52:54:00:12:34:56");
	assert_string_equal(d.nics[0].alias, "net0");
	assert_string_equal(d.nics[1].tap, "");
}

static void a_domain_that_does_not_run_has_no_id(void **state)
{
	(void)state;
	assert_int_equal(parse("<domain><name>a</name><uuid>" UUID "</uuid>" TAIL), 0);
	assert_int_equal(d.id, -1);
	assert_int_equal(d.memory_bytes, 0);
}

static void what_is_no_domain_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"<",
		"<domain/>",
		"<domain>",
		"<network><name>a</name></network>",
		"<domain><name>a</name></domain>",
		"<domain><name></name><uuid>" UUID "</uuid></domain>",
		"<domain><name>a</name><uuid>short</uuid></domain>",
		"<domain><name>a</name><uuid>" UUID "</uuid>",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(parse(bad[i]), -EINVAL);
		assert_int_equal(d.name[0], 0);
	}
}

static void names_in_other_places_are_not_the_domains(void **state)
{
	(void)state;
	assert_int_equal(parse("<domain id='1'><metadata><name>evil</name><uuid>x</uuid></metadata>"
			       "<name>good</name><uuid>" UUID
			       "</uuid><devices><hostdev><name>no</name>"
			       "</hostdev></devices>" TAIL),
			 0);
	assert_string_equal(d.name, "good");
}

static void more_devices_than_fit_are_left_out(void **state)
{
	vs_autofree char *xml = malloc(64 * 1024);
	size_t n;

	(void)state;
	assert_non_null(xml);
	n = (size_t)snprintf(xml, 1024, HEAD "<devices>");
	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(xml + n,
				     "<disk><target dev='d%d'/></disk>"
				     "<interface><target dev='t%d'/></interface>",
				     i, i);
	(void)sprintf(xml + n, "</devices>" TAIL);
	assert_int_equal(parse(xml), 0);
	assert_int_equal(d.disks_n, VS_DOMAIN_DISK__N);
	assert_int_equal(d.nics_n, VS_DOMAIN_NIC__N);
	assert_string_equal(d.disks[VS_DOMAIN_DISK__N - 1].target, "d15");
}

static void long_and_broken_texts_are_cut_and_clean(void **state)
{
	vs_autofree char *xml = calloc(1, 200000);
	size_t n = 0;

	(void)state;
	assert_non_null(xml);
	n += (size_t)sprintf(xml, "<domain id='1'><name>");
	memset(xml + n, 'n', 90000);
	n += 90000;
	n += (size_t)sprintf(xml + n, "</name><uuid>" UUID "</uuid><devices><disk><source file='/");
	for (int i = 0; i < 20000; i++)
		n += (size_t)sprintf(xml + n, "\xc3\xa4");
	(void)sprintf(xml + n, "'/><target dev='vda'/></disk></devices>" TAIL);
	assert_int_equal(parse(xml), 0);
	assert_int_equal(strlen(d.name), VS_NAME__N - 1);
	/* Cut between two characters of two bytes each, behind the slash. */
	assert_int_equal(strlen(d.disks[0].path), VS_PATH__N - 1);
	/* Bytes that are not UTF-8 make it no XML at all. */
	assert_int_equal(parse("<domain id='1'><name>\xff\xfe</name><uuid>" UUID "</uuid>" TAIL),
			 -EINVAL);
}

static void a_document_type_is_refused(void **state)
{
	(void)state;
	assert_int_equal(parse("<!DOCTYPE domain [<!ENTITY e 'x'>]>" HEAD TAIL), -EINVAL);
	assert_int_equal(parse("<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
			       "<domain id='1'><name>&e;</name><uuid>" UUID "</uuid>" TAIL),
			 -EINVAL);
	assert_int_equal(parse("<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'>" HEAD TAIL),
			 -EINVAL);
}

static void entities_that_grow_cost_no_time(void **state)
{
	clock_t begin = clock();

	(void)state;
	assert_int_equal(parse("<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaaaaaaaaaaaa'>"
			       "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
			       "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>"
			       "<!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
			       "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'>"
			       "<!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>]>"
			       "<domain id='&f;'><name>&f;</name><uuid>" UUID "</uuid>" TAIL),
			 -EINVAL);
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 2);
}

static void what_is_nested_too_deeply_is_refused(void **state)
{
	const size_t depth = 100000;
	vs_autofree char *xml = malloc(depth * 3 + 1);

	(void)state;
	assert_non_null(xml);
	for (size_t i = 0; i < depth; i++)
		memcpy(xml + i * 3, "<a>", 3);
	xml[depth * 3] = '\0';
	assert_int_equal(parse(xml), -EINVAL);
}

static void what_is_too_large_is_refused(void **state)
{
	vs_autofree char *xml = malloc(VS_DOMAIN_XML_MAX + 2);

	(void)state;
	assert_non_null(xml);
	memset(xml, ' ', VS_DOMAIN_XML_MAX + 1);
	xml[VS_DOMAIN_XML_MAX + 1] = '\0';
	assert_int_equal(parse(xml), -E2BIG);
}

static void memory_that_cannot_be_is_unknown(void **state)
{
	(void)state;
	assert_int_equal(parse(HEAD "<memory unit='KiB'>99999999999999999999</memory>" TAIL), 0);
	assert_int_equal(d.memory_bytes, 0);
	assert_int_equal(parse(HEAD "<memory unit='GiB'>4</memory>" TAIL), 0);
	assert_int_equal(d.memory_bytes, 0);
	assert_int_equal(parse(HEAD "<memory>1024</memory>" TAIL), 0);
	assert_int_equal(d.memory_bytes, 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_domain_is_read_as_a_whole),
		cmocka_unit_test(a_domain_that_does_not_run_has_no_id),
		cmocka_unit_test(what_is_no_domain_is_refused_and_changes_nothing),
		cmocka_unit_test(names_in_other_places_are_not_the_domains),
		cmocka_unit_test(more_devices_than_fit_are_left_out),
		cmocka_unit_test(long_and_broken_texts_are_cut_and_clean),
		cmocka_unit_test(a_document_type_is_refused),
		cmocka_unit_test(entities_that_grow_cost_no_time),
		cmocka_unit_test(what_is_nested_too_deeply_is_refused),
		cmocka_unit_test(what_is_too_large_is_refused),
		cmocka_unit_test(memory_that_cannot_be_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
