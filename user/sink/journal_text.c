/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink/journal_text.h"

#include "base/text.h"
#include "model/event_types.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct vs_journal_text *s, const void *bytes, size_t n)
{
	if (s->len + n > s->size) {
		size_t size = 2 * (s->len + n);
		char *text = realloc(s->text, size);

		if (!text) {
			s->failed = true;
			return;
		}
		s->text = text;
		s->size = size;
	}
	memcpy(s->text + s->len, bytes, n);
	s->len += n;
}

/* A value with a newline goes with its length, all others as KEY=value. */
static void field(struct vs_journal_text *s, const char *key, const char *value, size_t n)
{
	uint64_t len = htole64(n);

	append(s, key, strlen(key));
	if (memchr(value, '\n', n)) {
		append(s, "\n", 1);
		append(s, &len, sizeof(len));
	} else {
		append(s, "=", 1);
	}
	append(s, value, n);
	append(s, "\n", 1);
}

static void field_text(struct vs_journal_text *s, const char *key, const char *value)
{
	field(s, key, value, strlen(value));
}

/* Nothing for null, objects and arrays: those are in VIRTSCOPE_EVENT. */
static void field_json(struct vs_journal_text *s, const char *key, const json_t *j)
{
	char number[32];

	if (json_is_string(j)) {
		field(s, key, json_string_value(j), json_string_length(j));
		return;
	}
	if (json_is_integer(j))
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(j));
	else if (json_is_real(j))
		(void)snprintf(number, sizeof(number), "%.9g", json_real_value(j));
	else if (json_is_boolean(j))
		(void)snprintf(number, sizeof(number), "%s", json_is_true(j) ? "true" : "false");
	else
		return;
	field_text(s, key, number);
}

/* data's keys in capitals: {"vnic": …} -> VIRTSCOPE_VNIC. The keys of data come from
 * us alone, and a test holds them apart from the envelope's. */
static void fields_of_data(struct vs_journal_text *s, const json_t *data)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)data, key, value)
	{
		char name[64]; /* journald allows no more */
		size_t n = (size_t)snprintf(name, sizeof(name), "VIRTSCOPE_%s", key);

		for (size_t i = 0; i < n && i < sizeof(name); i++)
			name[i] = (char)toupper((unsigned char)name[i]);
		field_json(s, name, value);
	}
}

static const char *priority(const char *severity)
{
	if (severity && strcmp(severity, "error") == 0)
		return "3";
	return severity && strcmp(severity, "warning") == 0 ? "4" : "6";
}

int vs_journal_text_make(struct vs_journal_text *s, const struct vs_sink_event *event)
{
	const json_t *e = event->json, *vm = json_object_get(e, "vm");
	const char *type = json_string_value(json_object_get(e, "type"));
	const char *name = json_string_value(json_object_get(vm, "name"));
	const struct vs_event_kind *t = vs_event_type_find(type);
	char text[4096];
	size_t n = 0;

	s->len = 0;
	s->failed = false;
	if (name) {
		char clean[1024];

		(void)vs_text_printable(clean, sizeof(clean), name);
		n = (size_t)snprintf(text, sizeof(text), "VM %s: ", clean);
	}
	(void)vs_event_sentence(text + n, sizeof(text) - n, e);
	field_text(s, "MESSAGE", text);
	field_text(s, "PRIORITY", priority(json_string_value(json_object_get(e, "severity"))));
	field_text(s, "SYSLOG_IDENTIFIER", "virtscope");
	if (t)
		field_text(s, "MESSAGE_ID", t->message_id);
	field_json(s, "VIRTSCOPE_TYPE", json_object_get(e, "type"));
	field_json(s, "VIRTSCOPE_SEVERITY", json_object_get(e, "severity"));
	field_json(s, "VIRTSCOPE_SEQ", json_object_get(e, "seq"));
	field_json(s, "VIRTSCOPE_ID", json_object_get(e, "id"));
	field_json(s, "VIRTSCOPE_VM", json_object_get(vm, "name"));
	field_json(s, "VIRTSCOPE_VM_UUID", json_object_get(vm, "uuid"));
	field_json(s, "VIRTSCOPE_VM_PID", json_object_get(vm, "pid"));
	fields_of_data(s, json_object_get(e, "data"));
	field(s, "VIRTSCOPE_EVENT", event->line, event->len - 1);
	return s->failed ? -ENOMEM : 0;
}

void vs_journal_text_done(struct vs_journal_text *s)
{
	free(s->text);
	s->text = NULL;
}
