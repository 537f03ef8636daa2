/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "discover/domain_xml.h"

#include <time.h>

#define UUID "0b3a1f5e-7c52-4d2b-9a44-2f0f6f9d1c11"
#define HEAD "<domain type='kvm' id='7'><name>instance-00000007</name><uuid>" UUID "</uuid>"
#define TAIL "</domain>"

/* As Nova 2023.1 writes it, but for the names. */
#define NOVA                                                                                       \
	"<metadata>\n    <nova:instance xmlns:nova=\"http://openstack.org/xmlns/libvirt/nova/1.1\">\n" \
	"      <nova:package version=\"27.1.0\"/>\n"                                               \
	"      <nova:name>web &amp; shop</nova:name>\n"                                            \
	"      <nova:creationTime>2026-03-02 09:11:45</nova:creationTime>\n"                       \
	"      <nova:flavor name=\"m1.small\">\n        <nova:memory>2048</nova:memory>\n"         \
	"        <nova:disk>20</nova:disk>\n        <nova:swap>0</nova:swap>\n"                    \
	"        <nova:ephemeral>0</nova:ephemeral>\n        <nova:vcpus>1</nova:vcpus>\n"         \
	"      </nova:flavor>\n      <nova:owner>\n"                                               \
	"        <nova:user uuid=\"11112222333344445555666677778888\">eve</nova:user>\n"           \
	"        <nova:project uuid=\"aaaabbbbccccddddeeeeffff00001111\">shop</nova:project>\n"    \
	"      </nova:owner>\n"                                                                    \
	"      <nova:root type=\"image\" uuid=\"99998888777766665555444433332222\"/>\n"            \
	"      <nova:ports>\n        <nova:port uuid=\"c0ffee\">\n"                                \
	"          <nova:ip type=\"fixed\" address=\"10.0.0.5\" ipVersion=\"4\"/>\n"               \
	"        </nova:port>\n      </nova:ports>\n    </nova:instance>\n  </metadata>\n"

static struct vs_domain d;
static struct vs_label_rules rules;

static int parse(const char *xml)
{
	memset(&d, 0, sizeof(d));
	return vs_domain_xml_parse(xml, strlen(xml), &rules, &d);
}

/* Parses a domain whose metadata is @metadata, with one rule of path @path. */
static const char *value_of(const char *path, const char *metadata)
{
	vs_autofree char *xml = NULL;

	memset(&rules, 0, sizeof(rules));
	assert_null(vs_label_rules_add(&rules, "x", path));
	assert_true(asprintf(&xml, HEAD "<metadata>%s</metadata>" TAIL, metadata) > 0);
	assert_int_equal(parse(xml), 0);
	if (!d.labels_n)
		return NULL;
	assert_int_equal(d.labels_n, 1);
	assert_string_equal(d.labels[0].name, "x");
	return d.labels[0].value;
}

static void novas_name_and_project_are_labels_by_default(void **state)
{
	(void)state;
	rules = vs_label_rules_default;
	assert_int_equal(parse(HEAD NOVA TAIL), 0);
	assert_int_equal(d.labels_n, 2);
	assert_string_equal(d.labels[0].name, "nova_name");
	assert_string_equal(d.labels[0].value, "web & shop");
	assert_string_equal(d.labels[1].name, "nova_project");
	assert_string_equal(d.labels[1].value, "shop");
}

static void attributes_are_reached_and_nothing_is_taken_unasked(void **state)
{
	(void)state;
	memset(&rules, 0, sizeof(rules));
	assert_null(vs_label_rules_add(&rules, "flavor", "instance/flavor/@name"));
	assert_null(vs_label_rules_add(&rules, "project_id", "instance/owner/project/@uuid"));
	assert_null(vs_label_rules_add(&rules, "none", "instance/owner/domain"));
	assert_null(vs_label_rules_add(&rules, "memory", "instance/flavor/memory"));
	assert_int_equal(parse(HEAD NOVA TAIL), 0);
	assert_int_equal(d.labels_n, 3);
	assert_string_equal(d.labels[0].value, "m1.small");
	assert_string_equal(d.labels[1].value, "aaaabbbbccccddddeeeeffff00001111");
	assert_string_equal(d.labels[2].name, "memory");
	assert_string_equal(d.labels[2].value, "2048");
	memset(&rules, 0, sizeof(rules));
	assert_int_equal(parse(HEAD NOVA TAIL), 0);
	assert_int_equal(d.labels_n, 0);
}

static void only_the_domains_own_metadata_counts(void **state)
{
	(void)state;
	memset(&rules, 0, sizeof(rules));
	assert_null(vs_label_rules_add(&rules, "x", "a"));
	assert_int_equal(parse(HEAD "<devices><metadata><a>no</a></metadata></devices><a>no</a>" TAIL), 0);
	assert_int_equal(d.labels_n, 0);
	assert_int_equal(parse(HEAD TAIL), 0);
	assert_int_equal(d.labels_n, 0);
}

static void namespaces_do_not_matter_and_the_first_that_fits_does(void **state)
{
	(void)state;
	assert_string_equal(value_of("a/b", "<p:a xmlns:p='urn:1'><p:b>1</p:b></p:a>"), "1");
	assert_string_equal(value_of("a/b", "<a xmlns='urn:2'><b>2</b></a>"), "2");
	assert_string_equal(value_of("a/b", "<a><c>0</c></a><a><b/></a><a><b>3</b><b>4</b></a>"), "3");
	assert_string_equal(value_of("a/@b", "<a xmlns:p='urn:1' p:b='5'/>"), "5");
	assert_null(value_of("a/b", "<ab>1</ab><a><bb>1</bb></a><A><b>1</b></A>"));
	assert_null(value_of("a/@b", "<a bb='1'><b>2</b></a>"));
}

static void text_is_trimmed_and_cdata_is_text(void **state)
{
	(void)state;
	assert_string_equal(value_of("a", "<a>\n\t one two \r\n</a>"), "one two");
	assert_string_equal(value_of("a", "<a> <![CDATA[<b> & ]]>c<!-- no --></a>"), "<b> & c");
	assert_string_equal(value_of("a", "<a>&lt;&#x41;&quot;</a>"), "<A\"");
	assert_string_equal(value_of("a/@b", "<a b='  x\n'/>"), "x");
}

static void what_has_no_text_is_no_label(void **state)
{
	(void)state;
	assert_null(value_of("a", ""));
	assert_null(value_of("a", "<a/>"));
	assert_null(value_of("a", "<a>  \n </a>"));
	assert_null(value_of("a/@b", "<a b=''/>"));
	/* Of elements in it, only the paths that name them tell. */
	assert_null(value_of("a", "<a>x<b>y</b></a>"));
}

static void long_values_are_cut_at_a_character(void **state)
{
	char metadata[4096] = "<a>";

	(void)state;
	for (int i = 0; i < 1000; i++)
		(void)strcat(metadata, "\xe2\x82\xac");
	(void)strcat(metadata, "</a>");
	/* 42 signs of three bytes are 126 of the 128 bytes. */
	assert_int_equal(strlen(value_of("a", metadata)), 126);
}

static void entities_never_become_a_value(void **state)
{
	clock_t begin = clock();

	(void)state;
	rules = vs_label_rules_default;
	assert_int_equal(parse("<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" HEAD
			       "<metadata><instance><name>&a;</name></instance></metadata>" TAIL),
			 -EINVAL);
	assert_int_equal(parse(HEAD "<metadata><instance><name>&a;</name></instance></metadata>" TAIL),
			 -EINVAL);
	assert_int_equal(parse("<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaaaaaaaaaaaa'>"
			       "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
			       "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>"
			       "<!ENTITY e '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
			       "<!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>"
			       "<!ENTITY g '&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;'>]>" HEAD
			       "<metadata><instance><name x='&g;'>&g;</name></instance></metadata>" TAIL),
			 -EINVAL);
	assert_int_equal(d.labels_n, 0);
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 2);
}

static void wide_and_repeated_metadata_costs_no_time(void **state)
{
	static const char piece[] = "<a><a><a>";
	const size_t n = 100000;
	vs_autofree char *xml = malloc(n * 4 + 1024);
	size_t at;
	clock_t begin;

	(void)state;
	assert_non_null(xml);
	memset(&rules, 0, sizeof(rules));
	for (int i = 0; i < VS_LABEL__N; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "l%d", i);
		assert_null(vs_label_rules_add(&rules, name, "a/a/a/b"));
	}
	at = (size_t)sprintf(xml, HEAD "<metadata>");
	for (size_t i = 0; i < n / 9; i++)
		at += (size_t)sprintf(xml + at, "%s</a></a></a>", piece);
	(void)sprintf(xml + at, "</metadata>" TAIL);
	begin = clock();
	assert_int_equal(parse(xml), 0);
	assert_int_equal(d.labels_n, 0);
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(novas_name_and_project_are_labels_by_default),
		cmocka_unit_test(attributes_are_reached_and_nothing_is_taken_unasked),
		cmocka_unit_test(only_the_domains_own_metadata_counts),
		cmocka_unit_test(namespaces_do_not_matter_and_the_first_that_fits_does),
		cmocka_unit_test(text_is_trimmed_and_cdata_is_text),
		cmocka_unit_test(what_has_no_text_is_no_label),
		cmocka_unit_test(long_values_are_cut_at_a_character),
		cmocka_unit_test(entities_never_become_a_value),
		cmocka_unit_test(wide_and_repeated_metadata_costs_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
