/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/event_types.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const struct vs_event_kind vs_event_types[] = {
#define X(...) { __VA_ARGS__ },
	VS_EVENT_TYPES(X)
#undef X
	{ NULL, NULL, NULL, NULL },
};

const struct vs_event_kind *vs_event_type_find(const char *name)
{
	for (const struct vs_event_kind *t = vs_event_types; t->name; t++)
		if (name && strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

struct out {
	char *dst;
	size_t size, n;
};

static void put(struct out *o, const char *s)
{
	o->n += vs_text_printable(o->dst + o->n, o->size - o->n, s);
}

static void put_value(struct out *o, const json_t *j)
{
	char number[32];

	switch (json_typeof(j)) {
	case JSON_STRING:
		put(o, json_string_value(j));
		return;
	case JSON_INTEGER:
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(j));
		break;
	case JSON_REAL:
		(void)snprintf(number, sizeof(number), "%.3g", json_real_value(j));
		break;
	default:
		(void)snprintf(number, sizeof(number), "%s", json_is_true(j) ? "yes" : "no");
	}
	put(o, number);
}

/* The value of the key that begins at @s, up to "}". NULL: null or absent. */
static const json_t *value_at(const json_t *data, const char *s)
{
	char key[64];
	const json_t *j;

	(void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(s, "}"), s);
	j = json_object_get(data, key);
	return json_is_null(j) ? NULL : j;
}

/* Whether each key in the part up to "]" has a value. */
static bool is_told(const json_t *data, const char *part)
{
	for (const char *s = part; *s && *s != ']'; s++)
		if (*s == '{' && !value_at(data, s + 1))
			return false;
	return true;
}

size_t vs_event_sentence(char *dst, size_t size, const json_t *event)
{
	const char *name = json_string_value(json_object_get(event, "type"));
	const struct vs_event_kind *type = vs_event_type_find(name);
	const json_t *data = json_object_get(event, "data");
	struct out o = { dst, size, 0 };

	dst[0] = '\0';
	if (!type) {
		put(&o, name ? name : "-");
		return o.n;
	}
	for (const char *s = type->sentence; *s && o.n + 4 < size; s++) {
		const json_t *value;
		char letter[2] = { *s, '\0' };

		if (*s == '[' && !is_told(data, s)) {
			s += strcspn(s, "]");
		} else if (*s == '{') {
			value = value_at(data, s + 1);
			if (value)
				put_value(&o, value);
			else
				put(&o, "-");
			s += strcspn(s, "}");
		} else if (*s != '[' && *s != ']') {
			put(&o, letter);
		}
	}
	return o.n;
}
