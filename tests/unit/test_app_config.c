/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "app/config_table.h"
#include "discover/libvirt.h"
#include "serve/control.h"
#include "serve/event_memory.h"
#include "sink/jsonl.h"

static struct vs_config c;
static struct vs_config_problems problems;

static int parse(const char *text)
{
	vs_config_problems_done(&problems);
	return vs_config_parse(text, strlen(text), &c, &problems);
}

/* The only problem of @text is told so. */
static void told(const char *text, const char *line)
{
	char got[1000];

	assert_int_equal(parse(text), -EINVAL);
	vs_config_problem_text("f", &problems.problem[0], got, sizeof(got));
	assert_string_equal(got, line);
	assert_int_equal(problems.n + problems.more, 1);
}

static int teardown(void **state)
{
	(void)state;
	vs_config_problems_done(&problems);
	return 0;
}

static char *written(const struct vs_config *config)
{
	char *text = NULL;
	size_t n;
	FILE *to = open_memstream(&text, &n);

	vs_config_write(to, config);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void defaults_are_those_of_the_modules(void **state)
{
	const struct vs_detect_options detect = VS_DETECT_DEFAULTS;

	(void)state;
	memset(&c, 0xa5, sizeof(c));
	vs_config_defaults(&c);
	assert_string_equal(c.control, VS_CONTROL_PATH);
	assert_string_equal(c.user, "");
	assert_string_equal(c.libvirt.uri, VS_LIBVIRT_URI);
	assert_memory_equal(&c.libvirt.labels, &vs_label_rules_default, sizeof(c.libvirt.labels));
	assert_string_equal(c.probe.sample, "auto");
	assert_int_equal(c.probe.vms_n + c.probe.deny_n, 0);
	assert_string_equal(c.events.file.path, "");
	assert_int_equal(c.events.file.max_bytes, VS_JSONL_MAX_BYTES);
	assert_int_equal(c.events.file.keep, VS_JSONL_KEEP);
	assert_int_equal(c.events.memory, VS_EVENT_MEMORY_EVENTS);
	assert_false(c.events.journal);
	assert_string_equal(c.metrics.listen, "none");
	assert_int_equal(c.metrics.series_per_vm, 150);
	assert_true(c.detect.enabled == detect.enabled && c.detect.threshold == detect.threshold);
	assert_int_equal(c.detect.warmup_s, detect.warmup_s);
	assert_int_equal(c.detect.hold_off_s, detect.hold_off_s);
	assert_int_equal(c.detect.accept_s, detect.accept_s);
}

static void silence_of_any_kind_means_defaults(void **state)
{
	static const char *const texts[] = { "", "\n\n", "# nothing\n", "---\n", "--- ~\n...\n", "{}",
					     "metrics:\n", "events:\n  file:\ndetect: ~\n",
					     "\xef\xbb\xbf# a byte order mark\n" };
	struct vs_config defaults;

	(void)state;
	vs_config_defaults(&defaults);
	for (size_t i = 0; i < COUNT(texts); i++) {
		memset(&c, 0xa5, sizeof(c));
		assert_int_equal(parse(texts[i]), 0);
		assert_memory_equal(&c, &defaults, sizeof(c));
	}
}

static void every_key_is_read(void **state)
{
	(void)state;
	assert_int_equal(parse("control: /run/x\n"
			       "user: nobody\n"
			       "libvirt:\n"
			       "  uri: none\n"
			       "  labels:\n"
			       "    - name: team\n"
			       "      path: a/b/@c\n"
			       "    - {path: d, name: e}\n"
			       "probe: {sample: 64, vms: [web=12, 'a=b=13'], deny: [iter, bpf]}\n"
			       "events:\n"
			       "  file: {path: /var/x, max_bytes: 1099511627776, keep: 0}\n"
			       "  journal: true\n"
			       "  stdout: false\n"
			       "  memory: 7\n"
			       "metrics:\n"
			       "  listen: '[::1]:80'\n"
			       "  tls_certificate: /c\n"
			       "  tls_key: /k\n"
			       "  token_file: /t\n"
			       "  buckets: [0.5, 1, 2.25e0]\n"
			       "  series_per_vm: 20\n"
			       "  vms: 11\n"
			       "  detail: [\"a \\\"b\\\"\"]\n"
			       "detect: {enabled: false, warmup_s: 2, threshold: 3.5, hold_off_s: 0, accept_s: 9}\n"),
			 0);
	assert_string_equal(c.control, "/run/x");
	assert_string_equal(c.user, "nobody");
	assert_string_equal(c.libvirt.uri, "none");
	assert_int_equal(c.libvirt.labels.n, 2);
	assert_string_equal(c.libvirt.labels.rule[0].name, "team");
	assert_string_equal(c.libvirt.labels.rule[0].path, "a/b/@c");
	assert_string_equal(c.libvirt.labels.rule[1].name, "e");
	assert_string_equal(c.libvirt.labels.rule[1].path, "d");
	assert_string_equal(c.probe.sample, "64");
	assert_int_equal(c.probe.vms_n, 2);
	assert_string_equal(c.probe.vms[1], "a=b=13");
	assert_int_equal(c.probe.deny_n, 2);
	assert_string_equal(c.probe.deny[1], "bpf");
	assert_string_equal(c.events.file.path, "/var/x");
	assert_int_equal(c.events.file.max_bytes, 1099511627776);
	assert_int_equal(c.events.file.keep, 0);
	assert_true(c.events.journal);
	assert_string_equal(c.events.stdout_, "false");
	assert_int_equal(c.events.memory, 7);
	assert_string_equal(c.metrics.listen, "[::1]:80");
	assert_string_equal(c.metrics.tls_certificate, "/c");
	assert_string_equal(c.metrics.tls_key, "/k");
	assert_string_equal(c.metrics.token_file, "/t");
	assert_int_equal(c.metrics.buckets_n, 3);
	assert_true(c.metrics.buckets[2] == 2.25);
	assert_int_equal(c.metrics.series_per_vm, 20);
	assert_int_equal(c.metrics.vms, 11);
	assert_int_equal(c.metrics.detail_n, 1);
	assert_string_equal(c.metrics.detail[0], "a \"b\"");
	assert_false(c.detect.enabled);
	assert_int_equal(c.detect.warmup_s, 2);
	assert_true(c.detect.threshold == 3.5);
	assert_int_equal(c.detect.hold_off_s, 0);
	assert_int_equal(c.detect.accept_s, 9);
}

static void a_list_in_the_file_replaces_the_default(void **state)
{
	(void)state;
	assert_int_equal(parse("metrics: {buckets: [3]}\nlibvirt: {labels: []}\n"), 0);
	assert_int_equal(c.metrics.buckets_n, 1);
	assert_true(c.metrics.buckets[0] == 3 && c.metrics.buckets[1] == 0);
	assert_int_equal(c.libvirt.labels.n, 0);
	assert_string_equal(c.libvirt.labels.rule[0].name, "");
}

static void what_is_written_reads_back_the_same(void **state)
{
	struct vs_config first;
	char *text;

	(void)state;
	assert_int_equal(parse("libvirt: {uri: 'null', labels: [{name: a, path: b}]}\n"
			       "probe: {vms: [\"a\\n\\x07\\\"\\\\ \\u0085\\u2028\\uFEFF\\xe9=1\", '-=2', '{x}=3']}\n"
			       "metrics: {detail: ['#no', '~', 'a: b', 'true', '']}\n"),
			 -EINVAL); /* '' is empty */
	assert_int_equal(parse("libvirt: {uri: 'null', labels: [{name: a, path: b}]}\n"
			       "probe: {vms: [\"a\\n\\x07\\\"\\\\ \\u0085\\u2028\\uFEFF\\xe9=1\", '-=2', '{x}=3']}\n"
			       "metrics: {detail: ['#no', '~', 'a: b', 'true', 'a:'], buckets: [0.1, 0.3]}\n"),
			 0);
	first = c;
	text = written(&first);
	assert_int_equal(parse(text), 0);
	assert_memory_equal(&first, &c, sizeof(c));
	free(text);
}

static void the_example_names_every_key_and_changes_nothing(void **state)
{
	struct vs_config defaults;
	char *text = NULL, *out;
	size_t n;
	FILE *to = open_memstream(&text, &n);

	(void)state;
	vs_config_write_example(to);
	assert_int_equal(fclose(to), 0);
	vs_config_defaults(&defaults);
	assert_int_equal(parse(text), 0);
	assert_memory_equal(&defaults, &c, sizeof(c));
	/* With each key uncommented ("#key: value", without a blank) it is the same file. */
	out = text;
	for (const char *in = text; *in; in++)
		if (*in != '#' || in[1] == ' ' || in[1] == '\n')
			*out++ = *in;
	*out = '\0';
	assert_int_equal(parse(text), 0);
	assert_memory_equal(&defaults, &c, sizeof(c));
	for (int i = 0; i < vs_config_keys_n; i++) {
		char key[80];

		(void)snprintf(key, sizeof(key), "%s:", vs_config_key_name(&vs_config_keys[i]));
		assert_non_null(strstr(text, key));
		assert_true(*vs_config_keys[i].help);
	}
	free(text);
}

static void json_has_every_key_with_its_type(void **state)
{
	json_t *j;

	(void)state;
	vs_config_defaults(&c);
	j = vs_config_json(&c);
	assert_true(json_is_string(json_object_get(json_object_get(json_object_get(j, "events"), "file"), "path")));
	assert_true(json_is_integer(json_object_get(json_object_get(j, "events"), "memory")));
	assert_true(json_is_false(json_object_get(json_object_get(j, "events"), "journal")));
	assert_true(json_is_real(json_array_get(json_object_get(json_object_get(j, "metrics"), "buckets"), 0)));
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(json_object_get(j, "libvirt"), "labels"), 1), "name")),
			    "nova_project");
	json_decref(j);
	j = vs_config_keys_json();
	assert_int_equal(json_array_size(j), vs_config_keys_n);
	json_decref(j);
}

static void flags_set_single_keys_and_add_to_lists(void **state)
{
	(void)state;
	assert_int_equal(parse("probe: {vms: [a=1, b=2]}\n"), 0);
	assert_int_equal(vs_config_set(&c, "probe.vms", "c=3", false), 0);
	assert_int_equal(vs_config_set(&c, "probe.vms", "d=4", true), 0);
	assert_int_equal(c.probe.vms_n, 2);
	assert_string_equal(c.probe.vms[0], "c=3");
	assert_string_equal(c.probe.vms[1], "d=4");
	assert_int_equal(vs_config_set(&c, "probe.sample", "8", false), 0);
	assert_string_equal(c.probe.sample, "8");
	assert_int_equal(vs_config_set(&c, "events.journal", "true", false), 0);
	assert_true(c.events.journal);
	assert_int_equal(vs_config_set(&c, "events.file.max_bytes", "5000000000", false), 0);
	assert_int_equal(c.events.file.max_bytes, 5000000000);
	assert_int_equal(vs_config_set(&c, "events.memory", "9", false), 0);
	assert_int_equal(c.events.memory, 9);
	assert_int_equal(vs_config_set(&c, "detect.threshold", "2.5", false), 0);
	assert_true(c.detect.threshold == 2.5);
	assert_int_equal(vs_config_set(&c, "probe.sample", "7", false), -EINVAL);
	assert_int_equal(vs_config_set(&c, "probe", "7", false), -ENOENT);
	assert_int_equal(vs_config_set(&c, "nosuch", "7", false), -ENOENT);
	for (int i = 2; i < 64; i++)
		assert_int_equal(vs_config_set(&c, "probe.vms", "x=5", true), 0);
	assert_int_equal(vs_config_set(&c, "probe.vms", "x=5", true), -ENOSPC);
	assert_string_equal(c.probe.sample, "8");
}

static char differing[200];

static void note(void *data, const char *key, bool now)
{
	(void)data;
	(void)strcat(strcat(differing, key), now ? "! " : " ");
}

static void differences_are_told_by_key_with_when_they_count(void **state)
{
	struct vs_config other;

	(void)state;
	vs_config_defaults(&other);
	assert_int_equal(parse("control: /x\nevents: {journal: true}\nmetrics: {detail: [a]}\n"), 0);
	differing[0] = '\0';
	vs_config_diff(&other, &c, note, NULL);
	assert_string_equal(differing, "control events.journal! metrics.detail! ");
	vs_config_copy(&c, &other, "control");
	vs_config_copy(&c, &other, "metrics.detail");
	differing[0] = '\0';
	vs_config_diff(&other, &c, note, NULL);
	assert_string_equal(differing, "events.journal! ");
}

static void a_file_is_read_whole_up_to_a_mebibyte(void **state)
{
	static const char *const files[] = { "f", NULL };
	char *dir = unit_make_dir(), path[64];
	FILE *f;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < (1 << 20) / 16 - 1; i++)
		(void)fputs("#23456789abcdef\n", f);
	(void)fputs("events: { \n", f);
	(void)fputs("   }\n", f); /* 1 MiB to the byte */
	assert_int_equal(ftell(f), 1 << 20);
	(void)fflush(f);
	assert_int_equal(vs_config_read(path, &c, &problems), 0);
	(void)fputs("\n", f);
	(void)fclose(f);
	assert_int_equal(vs_config_read(path, &c, &problems), -EFBIG);
	assert_string_equal(problems.problem[0].what, "is larger than 1 MiB");
	unit_remove_dir(dir, files);
}

static void what_is_no_file_is_refused(void **state)
{
	(void)state;
	assert_int_equal(vs_config_read("/nonexistent/x", &c, &problems), -ENOENT);
	assert_string_equal(problems.problem[0].what, "No such file or directory");
	vs_config_problems_done(&problems);
	assert_int_equal(vs_config_read("/dev/zero", &c, &problems), -EINVAL);
	assert_string_equal(problems.problem[0].what, "is not a regular file");
	vs_config_problems_done(&problems);
	assert_int_equal(vs_config_read("/", &c, &problems), -EINVAL);
}

static void a_problem_is_told_with_line_key_and_what_is_allowed(void **state)
{
	(void)state;
	told("\n\ncontrol: run\n", "f:3: control: 'run' is not possible; allowed: an absolute path of up to 99 bytes");
	told("events:\n  file: {keep: 1,\n    keep: 2}\n",
	     "f:3: events.file.keep: given twice, first on line 2; allowed: each key once");
	told("libvirt:\n  labels:\n  - {name: a, path: b}\n  - {name: a, path: c}\n",
	     "f:2: libvirt.labels: 'a' is there twice; allowed: each name once");
}

static void all_problems_are_told_and_fifty_kept(void **state)
{
	char text[4000] = "";

	(void)state;
	assert_int_equal(parse("a: 1\nuser: 9\nevents:\n  memory: x\n  b: {c: [d]}\nprobe: 7\n"), -EINVAL);
	assert_int_equal(problems.n, 5);
	assert_int_equal(problems.problem[4].line, 6);
	for (int i = 0; i < 60; i++)
		(void)sprintf(text + strlen(text), "k%d: 1\n", i);
	assert_int_equal(parse(text), -EINVAL);
	assert_int_equal(problems.n, 50);
	assert_int_equal(problems.more, 10);
}

static void on_failure_nothing_is_changed(void **state)
{
	struct vs_config before;

	(void)state;
	memset(&c, 0x5a, sizeof(c));
	before = c;
	assert_int_equal(parse("control: /x\nuser: 1x\n"), -EINVAL);
	assert_memory_equal(&before, &c, sizeof(c));
}

static void deep_or_wide_texts_end_soon(void **state)
{
	size_t n = 1 << 20;
	char *text = malloc(n + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '[', n);
	text[n] = '\0';
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(problems.problem[problems.n - 1].what, "nested too deeply");
	for (size_t i = 0; i < n; i++)
		text[i] = "[{"[i % 2];
	assert_int_equal(parse(text), -EINVAL);
	memset(text, 'a', n);
	assert_int_equal(parse(text), -EINVAL);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(defaults_are_those_of_the_modules, teardown),
		cmocka_unit_test_teardown(silence_of_any_kind_means_defaults, teardown),
		cmocka_unit_test_teardown(every_key_is_read, teardown),
		cmocka_unit_test_teardown(a_list_in_the_file_replaces_the_default, teardown),
		cmocka_unit_test_teardown(what_is_written_reads_back_the_same, teardown),
		cmocka_unit_test_teardown(the_example_names_every_key_and_changes_nothing, teardown),
		cmocka_unit_test_teardown(json_has_every_key_with_its_type, teardown),
		cmocka_unit_test_teardown(flags_set_single_keys_and_add_to_lists, teardown),
		cmocka_unit_test_teardown(differences_are_told_by_key_with_when_they_count, teardown),
		cmocka_unit_test_teardown(a_file_is_read_whole_up_to_a_mebibyte, teardown),
		cmocka_unit_test_teardown(what_is_no_file_is_refused, teardown),
		cmocka_unit_test_teardown(a_problem_is_told_with_line_key_and_what_is_allowed, teardown),
		cmocka_unit_test_teardown(all_problems_are_told_and_fifty_kept, teardown),
		cmocka_unit_test_teardown(on_failure_nothing_is_changed, teardown),
		cmocka_unit_test_teardown(deep_or_wide_texts_end_soon, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
