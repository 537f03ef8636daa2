/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of types, EVENTS.md and the schema say the same; sentences. */
#include "unit.h"

#include "model/event_types.h"


static char *read_doc(const char *name)
{
	char path[64], *text = calloc(1, 1 << 20);
	FILE *f;

	(void)snprintf(path, sizeof(path), "docs/%s", name);
	f = fopen(path, "r"); /* make check runs in the tree's root */
	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	(void)fclose(f);
	return text;
}

static json_t *schema(void)
{
	char *text = read_doc("event.schema.json");
	json_t *j = json_loads(text, 0, NULL);

	assert_non_null(j);
	free(text);
	return j;
}

static json_t *names_in_schema(const json_t *j)
{
	return json_object_get(json_object_get(json_object_get(j, "properties"), "type"), "enum");
}

static bool has(const json_t *array, const char *name)
{
	size_t i;
	json_t *j;

	json_array_foreach((json_t *)array, i, j)
		if (strcmp(json_string_value(j), name) == 0)
			return true;
	return false;
}

static void schema_names_the_types_of_the_table_and_no_other(void **state)
{
	json_t *j = schema(), *names = names_in_schema(j);
	size_t n = 0;

	(void)state;
	for (const struct vs_event_kind *t = vs_event_types; t->name; t++, n++)
		if (!has(names, t->name))
			fail_msg("%s is not in event.schema.json", t->name);
	assert_int_equal(json_array_size(names), n);
	json_decref(j);
}

/* The part of the schema that describes data of a type. */
static const json_t *rule_of(const json_t *j, const char *name)
{
	size_t i;
	json_t *rule;

	json_array_foreach(json_object_get(j, "allOf"), i, rule)
	{
		const json_t *type = NULL;

		if (json_unpack(rule, "{s:{s:{s:o}}}", "if", "properties", "type", &type) == 0 &&
		    has(json_object_get(type, "enum"), name))
			return json_object_get(rule, "then");
	}
	return NULL;
}

static void severity_of_each_type_is_one_the_schema_allows(void **state)
{
	json_t *j = schema();

	(void)state;
	for (const struct vs_event_kind *t = vs_event_types; t->name; t++) {
		json_t *allowed = NULL;
		const json_t *rule = rule_of(j, t->name);

		if (!rule)
			fail_msg("the schema does not describe %s", t->name);
		assert_int_equal(json_unpack((json_t *)rule, "{s:{s:{s:o}}}", "properties",
					     "severity", "enum", &allowed), 0);
		if (!has(allowed, t->severity))
			fail_msg("%s: severity %s", t->name, t->severity);
	}
	json_decref(j);
}

static void sentences_speak_of_keys_that_data_has(void **state)
{
	json_t *j = schema();

	(void)state;
	for (const struct vs_event_kind *t = vs_event_types; t->name; t++) {
		const json_t *keys = json_object_get(
			json_object_get(json_object_get(rule_of(j, t->name), "properties"), "data"),
			"properties");

		for (const char *s = strchr(t->sentence, '{'); s; s = strchr(s + 1, '{')) {
			char key[64];

			(void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(s + 1, "}"), s + 1);
			if (!json_object_get(keys, key))
				fail_msg("%s: {%s} is not in its data", t->name, key);
		}
	}
	json_decref(j);
}

/* VIRTSCOPE_<KEY> of data and of the envelope must not meet in the journal. */
static void keys_of_data_do_not_meet_the_envelopes(void **state)
{
	static const char *const taken[] = { "type", "severity", "seq", "id", "vm", "vm_uuid", "vm_pid",
					     "event" };
	json_t *j = schema();

	(void)state;
	for (const struct vs_event_kind *t = vs_event_types; t->name; t++)
		for (size_t i = 0; i < COUNT(taken); i++)
			assert_null(json_object_get(
				json_object_get(json_object_get(json_object_get(rule_of(j, t->name),
										"properties"),
								"data"),
						"properties"),
				taken[i]));
	json_decref(j);
}

/* "## a.b, a.c · info" tells of a.b and a.c. */
static bool has_section(const char *text, const char *name)
{
	const char *line = text;

	while ((line = strstr(line, "\n## "))) {
		char heading[200], *at;
		size_t n;

		line += 4;
		n = strcspn(line, "\n");
		(void)snprintf(heading, sizeof(heading), "%.*s", (int)n, line);
		for (at = strstr(heading, name); at; at = strstr(at + 1, name))
			if ((at == heading || at[-1] == ' ') && strchr(", ", at[strlen(name)]))
				return true;
	}
	return false;
}

static void events_md_explains_each_type_and_its_message_id(void **state)
{
	char *text = read_doc("EVENTS.md");
	size_t n = 0, rows = 0;

	(void)state;
	for (const struct vs_event_kind *t = vs_event_types; t->name; t++, n++) {
		char row[128];

		if (!has_section(text, t->name))
			fail_msg("EVENTS.md has no section for %s", t->name);
		(void)snprintf(row, sizeof(row), "\n| `%s` | `%s` |\n", t->name, t->message_id);
		if (!strstr(text, row))
			fail_msg("EVENTS.md does not have: %s", row);
	}
	for (const char *s = strstr(text, "| MESSAGE_ID |"); s && (s = strstr(s, "\n| `")); s++)
		rows++;
	assert_int_equal(rows, n);
	free(text);
}

static void events_md_has_an_example_that_is_json_for_each_section(void **state)
{
	char *text = read_doc("EVENTS.md");
	json_t *j = schema();
	int examples = 0;

	(void)state;
	for (const char *s = strstr(text, "```json\n"); s; s = strstr(s + 1, "```json\n")) {
		const char *begin = s + 8, *end = strstr(begin, "```");
		json_error_t error;
		json_t *e = json_loadb(begin, (size_t)(end - begin), 0, &error);

		if (!e)
			fail_msg("EVENTS.md: %s in %.60s", error.text, begin);
		json_decref(e);
		examples++;
	}
	assert_true(examples >= 13);
	json_decref(j);
	free(text);
}

static void message_ids_are_128_bits_and_differ(void **state)
{
	(void)state;
	for (const struct vs_event_kind *t = vs_event_types; t->name; t++) {
		assert_int_equal(strlen(t->message_id), 32);
		assert_int_equal(strspn(t->message_id, "0123456789abcdef"), 32);
		for (const struct vs_event_kind *u = t + 1; u->name; u++)
			assert_string_not_equal(t->message_id, u->message_id);
	}
}

/* Takes @data's reference. */
static void check(const char *type, json_t *data, const char *expected)
{
	json_t *j = json_pack("{s:s,s:o}", "type", type, "data", data);
	char text[512];
	size_t n = vs_event_sentence(text, sizeof(text), j);

	assert_string_equal(text, expected);
	assert_int_equal(n, strlen(expected));
	json_decref(j);
}

static void sentences_say_what_happened(void **state)
{
	(void)state;
	check("drop.burst",
	      json_pack("{s:s,s:s,s:s,s:i}", "vnic", "tap0", "direction", "rx", "reason", "FULL_RING",
			"count", 240),
	      "240 packets lost at tap0 (rx, FULL_RING)");
	check("drop.burst",
	      json_pack("{s:s,s:s,s:n,s:i}", "vnic", "tap0", "direction", "rx", "reason", "count", 240),
	      "240 packets lost at tap0 (rx)");
	check("libvirt.restored", json_pack("{s:f}", "lost_s", 4.25),
	      "libvirt answers again, after 4.25 s");
	check("disk.seen", json_pack("{s:s,s:n}", "device", "vda", "backing"), "first request to disk vda");
	check("vm.start", json_object(), "started (-)");
	check("of.tomorrow", json_object(), "of.tomorrow");
	check("anomaly",
	      json_pack("{s:s,s:s,s:s,s:n,s:n,s:s,s:f,s:f,s:s}", "series", "residence", "vnic", "tap0",
			"direction", "rx", "disk", "op", "unit", "s", "value", 0.0182, "expected", 0.0021,
			"state", "start"),
	      "residence of tap0 (rx), unlike before (start): 0.0182 s, usual is 0.0021 s");
	check("anomaly",
	      json_pack("{s:s,s:n,s:n,s:s,s:s,s:s,s:n,s:f,s:s}", "series", "disk_latency", "vnic",
			"direction", "disk", "vda", "op", "read", "unit", "s", "value", "expected", 0.5,
			"state", "stop"),
	      "disk_latency of vda (read), unlike before (stop): usual is 0.5 s");
}

static void names_in_a_sentence_steer_no_terminal(void **state)
{
	(void)state;
	check("vnic.attach", json_pack("{s:s}", "vnic", "t\033[31m\n{x}[y]"),
	      "opened tap t\\x1b[31m\\x0a{x}[y]");
}

static void sentence_too_long_is_cut_and_ends(void **state)
{
	char name[300], text[40];
	json_t *j;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	j = json_pack("{s:s,s:{s:s}}", "type", "vnic.attach", "data", "vnic", name);
	for (size_t size = 4; size <= sizeof(text); size++) {
		memset(text, 'z', sizeof(text));
		assert_true(vs_event_sentence(text, size, j) < size);
		assert_true(strlen(text) < size);
	}
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schema_names_the_types_of_the_table_and_no_other),
		cmocka_unit_test(severity_of_each_type_is_one_the_schema_allows),
		cmocka_unit_test(sentences_speak_of_keys_that_data_has),
		cmocka_unit_test(keys_of_data_do_not_meet_the_envelopes),
		cmocka_unit_test(events_md_explains_each_type_and_its_message_id),
		cmocka_unit_test(events_md_has_an_example_that_is_json_for_each_section),
		cmocka_unit_test(message_ids_are_128_bits_and_differ),
		cmocka_unit_test(sentences_say_what_happened),
		cmocka_unit_test(names_in_a_sentence_steer_no_terminal),
		cmocka_unit_test(sentence_too_long_is_cut_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
