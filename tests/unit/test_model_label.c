/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "model/label.h"

static struct vs_label_rules rules;

static void names_are_prometheus_names_and_none_of_ours(void **state)
{
	static const char *const good[] = { "a", "_a", "nova_name", "A9", "a__",
					    "abcdefghijklmnopqrstuvwxyz_12345" };
	static const char *const bad[] = {
		"",   "9a",   "a-b", "a b",  "a\"", "a\n",	"__name__", "__a", "\xc3\xa4",
		"vm", "uuid", "pid", "host", "le",  "instance", "job",	    "a.b",
		"abcdefghijklmnopqrstuvwxyz_123456",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(vs_label_name_ok(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(vs_label_name_ok(bad[i]));
}

/* Else a figure could not be joined with vm_info by the label. */
static void labels_of_our_own_metrics_are_reserved(void **state)
{
	static const char *const ours[] = {
#define COLLECTOR(id, labels, ...) labels,
#include "model/metrics.def"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ours); i++) {
		char copy[128], *rest = copy, *name;

		(void)snprintf(copy, sizeof(copy), "%s", ours[i]);
		while ((name = strsep(&rest, ",")))
			if (*name && vs_label_name_ok(name))
				fail_msg("%s is free", name);
	}
}

static void paths_are_elements_and_at_most_one_attribute_at_the_end(void **state)
{
	static const char *const good[] = { "a", "a/b", "instance/owner/project", "a/@b", "a-b/c.d_9",
					    "\xc3\xa4/b" };
	static const char *const bad[] = { "",	  "/a",	  "a/",	  "a//b",  "@a", "a/@b/c", "a@b",
					   "a/@", "a/@@b", "../a", "a[1]", "*",	 "a b",	   "ns:a",
					   "a/text()" };
	char longest[VS_LABEL_PATH__N + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(vs_label_path_ok(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(vs_label_path_ok(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[VS_LABEL_PATH__N - 1] = '\0';
	assert_true(vs_label_path_ok(longest));
	longest[VS_LABEL_PATH__N - 1] = 'a';
	longest[VS_LABEL_PATH__N] = '\0';
	assert_false(vs_label_path_ok(longest));
}

static void a_rule_that_is_refused_leaves_the_list_as_it_was(void **state)
{
	struct vs_label_rules before;
	char name[16];

	(void)state;
	memset(&rules, 0, sizeof(rules));
	for (int i = 0; i < VS_LABEL__N - 1; i++) {
		(void)snprintf(name, sizeof(name), "l%d", i);
		assert_null(vs_label_rules_add(&rules, name, "a/b"));
	}
	before = rules;
	assert_non_null(vs_label_rules_add(&rules, "vm", "a"));
	assert_non_null(vs_label_rules_add(&rules, "x", "a//b"));
	assert_non_null(vs_label_rules_add(&rules, "l3", "a"));
	assert_memory_equal(&rules, &before, sizeof(rules));
	assert_null(vs_label_rules_add(&rules, "x", "a"));
	assert_non_null(vs_label_rules_add(&rules, "y", "a"));
	assert_int_equal(rules.n, VS_LABEL__N);
}

static void the_default_would_be_accepted_as_a_configuration(void **state)
{
	(void)state;
	memset(&rules, 0, sizeof(rules));
	for (uint32_t i = 0; i < vs_label_rules_default.n; i++)
		assert_null(vs_label_rules_add(&rules, vs_label_rules_default.rule[i].name,
					       vs_label_rules_default.rule[i].path));
	assert_memory_equal(&rules, &vs_label_rules_default, sizeof(rules));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_prometheus_names_and_none_of_ours),
		cmocka_unit_test(labels_of_our_own_metrics_are_reserved),
		cmocka_unit_test(paths_are_elements_and_at_most_one_attribute_at_the_end),
		cmocka_unit_test(a_rule_that_is_refused_leaves_the_list_as_it_was),
		cmocka_unit_test(the_default_would_be_accepted_as_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
