/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_write.c - settings as YAML and as JSON, and the example file. */
#include "app/config_table.h"
#include "base/text.h"

#include <string.h>

#define WIDTH 96

static int indent_of(const struct vs_config_key *k)
{
	int indent = 0;

	for (const char *s = k->path; *s; s++)
		indent += *s == '.' ? 2 : 0;
	return indent;
}

/* The code of a character that cannot stand for itself between double quotes, which
 * is what YAML calls unprintable, or a line break; else 0. @c: valid UTF-8 */
static unsigned int escaped(const unsigned char *c)
{
	if (*c < 0x20 || *c == 0x7f || *c == '"' || *c == '\\')
		return *c;
	if (c[0] == 0xc2 && c[1] < 0xa0)
		return c[1];
	if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9))
		return 0x2000u | (c[2] - 0x80u);
	if (c[0] == 0xef && ((c[1] == 0xbb && c[2] == 0xbf) || (c[1] == 0xbf && c[2] >= 0xbe)))
		return 0xf000u | (c[1] - 0x80u) << 6 | (c[2] - 0x80u);
	return 0;
}

/* Plain only where no reader of YAML could take it for something else. */
static void write_text(FILE *to, const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char *const words[] = { "null", "Null", "NULL" };
	char utf8[1024];
	bool plain = *s == '/' || (*s && strchr(letters, *s));

	for (const char *c = s; plain && *c; c++)
		plain = strchr(letters, *c) || strchr("0123456789/_.=@+-", *c) ||
			(*c == ':' && c[1]);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		plain = plain && strcmp(s, words[i]);
	if (plain) {
		(void)fputs(s, to);
		return;
	}
	(void)vs_text_utf8(utf8, sizeof(utf8), s, strlen(s));
	(void)fputc('"', to);
	for (const unsigned char *c = (const unsigned char *)utf8; *c; c++) {
		unsigned int code = escaped(c);

		if (code > 0xff)
			(void)fprintf(to, "\\u%04x", code);
		else if (code)
			(void)fprintf(to, "\\x%02x", code);
		else
			(void)fputc(*c, to);
		c += code > 0xff ? 2 : code > 0x7f ? 1 : 0;
	}
	(void)fputc('"', to);
}

static uint64_t count_of(const struct vs_config_key *k, const char *at)
{
	uint64_t n64;
	uint32_t n32;

	memcpy(&n64, at, k->size == sizeof(n64) ? sizeof(n64) : 0);
	memcpy(&n32, at, sizeof(n32));
	return k->size == sizeof(n64) ? n64 : n32;
}

static void write_one(FILE *to, const struct vs_config_key *k, int row, const char *at)
{
	const char *comma = "";
	double number;

	switch (k->type) {
	case VS_CONFIG_BOOL:
		(void)fputs(*at ? "true" : "false", to);
		break;
	case VS_CONFIG_COUNT:
		(void)fprintf(to, "%llu", (unsigned long long)count_of(k, at));
		break;
	case VS_CONFIG_NUMBER:
	case VS_CONFIG_NUMBERS:
		memcpy(&number, at, sizeof(number));
		(void)fprintf(to, "%.15g", number);
		break;
	case VS_CONFIG_RECORDS:
		(void)fputc('{', to);
		for (int i = 0; i < vs_config_keys_n; i++) {
			const struct vs_config_key *f = &vs_config_keys[i];

			if (!vs_config_key_inside(i, row))
				continue;
			(void)fprintf(to, "%s%s: ", comma, vs_config_key_name(f));
			write_text(to, at + f->offset);
			comma = ", ";
		}
		(void)fputc('}', to);
		break;
	default:
		write_text(to, at);
	}
}

void vs_config_write(FILE *to, const struct vs_config *c)
{
	for (int i = 0; i < vs_config_keys_n; i++) {
		const struct vs_config_key *k = &vs_config_keys[i];
		const char *at = (const char *)c + k->offset;
		uint32_t n = 0;

		if (k->type == VS_CONFIG_FIELD)
			continue;
		(void)fprintf(to, "%*s%s:", indent_of(k), "", vs_config_key_name(k));
		if (k->entries) {
			memcpy(&n, (const char *)c + k->count_offset, sizeof(n));
			(void)fputs(" [", to);
			for (uint32_t e = 0; e < n; e++) {
				(void)fputs(e ? ", " : "", to);
				write_one(to, k, i, at + (size_t)e * k->size);
			}
			(void)fputc(']', to);
		} else if (k->type != VS_CONFIG_SECTION) {
			(void)fputc(' ', to);
			write_one(to, k, i, at);
		}
		(void)fputc('\n', to);
	}
}

/* @text as comments, broken between words. */
static void write_comment(FILE *to, int indent, const char *text)
{
	int room = 0;

	while (*text) {
		int n = (int)strcspn(text, " ");

		if (room < n + 1) {
			(void)fprintf(to, "%s%*s#", room ? "\n" : "", indent, "");
			room = WIDTH - indent - 1;
		}
		(void)fprintf(to, " %.*s", n, text);
		room = room > n + 2 ? room - n - 1 : 1;
		text += n;
		text += *text == ' ';
	}
	(void)fputc('\n', to);
}

void vs_config_write_example(FILE *to)
{
	(void)fputs("# SPDX-License-Identifier: GPL-2.0-or-later\n"
		    "# virtscope.yaml - settings of virtscope run; virtscope.yaml(5) explains them.\n"
		    "#\n"
		    "# Every key stands here with its default. Options of the command line override\n"
		    "# this file. virtscope check-config says whether it is right. systemctl reload\n"
		    "# virtscope (SIGHUP) applies the keys marked \"reload\" to the running daemon.\n"
		    "# Made by virtscope check-config --print-defaults.\n",
		    to);
	for (int i = 0; i < vs_config_keys_n; i++) {
		const struct vs_config_key *k = &vs_config_keys[i];
		int indent = indent_of(k);

		if (k->type == VS_CONFIG_FIELD)
			continue;
		(void)fputc('\n', to);
		write_comment(to, indent, k->help);
		if (k->type == VS_CONFIG_SECTION) {
			(void)fprintf(to, "%*s%s:\n", indent, "", vs_config_key_name(k));
			continue;
		}
		(void)fprintf(to, "%*s# Allowed: %s. Takes effect: %s.\n", indent, "", k->allowed,
			      k->now ? "reload" : "restart");
		(void)fprintf(to, "%*s#%s: %s\n", indent, "", vs_config_key_name(k), k->fallback);
	}
}

/* Values of others: whatever bytes a flag had become UTF-8. */
static json_t *json_text(const char *s)
{
	char utf8[1024];

	(void)vs_text_utf8(utf8, sizeof(utf8), s, strlen(s));
	return json_string(utf8);
}

static json_t *json_one(const struct vs_config_key *k, int row, const char *at)
{
	json_t *record;
	double number;

	switch (k->type) {
	case VS_CONFIG_BOOL:
		return json_boolean(*at);
	case VS_CONFIG_COUNT:
		return json_integer((json_int_t)count_of(k, at));
	case VS_CONFIG_NUMBER:
	case VS_CONFIG_NUMBERS:
		memcpy(&number, at, sizeof(number));
		return json_real(number);
	case VS_CONFIG_RECORDS:
		record = json_object();
		for (int i = 0; i < vs_config_keys_n; i++)
			if (vs_config_key_inside(i, row))
				(void)json_object_set_new(record,
							  vs_config_key_name(&vs_config_keys[i]),
							  json_text(at + vs_config_keys[i].offset));
		return record;
	default:
		return json_text(at);
	}
}

/* What stands in @section (-1: at the top). */
static json_t *json_section(const struct vs_config *c, int section)
{
	json_t *object = json_object();

	for (int i = 0; i < vs_config_keys_n; i++) {
		const struct vs_config_key *k = &vs_config_keys[i];
		const char *at = (const char *)c + k->offset;
		json_t *value;
		uint32_t n = 0;

		if (!vs_config_key_inside(i, section))
			continue;
		if (k->type == VS_CONFIG_SECTION) {
			value = json_section(c, i);
		} else if (k->entries) {
			memcpy(&n, (const char *)c + k->count_offset, sizeof(n));
			value = json_array();
			for (uint32_t e = 0; e < n; e++)
				(void)json_array_append_new(value,
							    json_one(k, i, at + (size_t)e * k->size));
		} else {
			value = json_one(k, i, at);
		}
		(void)json_object_set_new(object, vs_config_key_name(k), value);
	}
	return object;
}

json_t *vs_config_json(const struct vs_config *c)
{
	return json_section(c, -1);
}

json_t *vs_config_keys_json(void)
{
	static const char *const types[] = { "section", "truth", "count",  "number", "text",
					     "numbers", "texts", "records", "field" };
	json_t *keys = json_array();

	for (int i = 0; i < vs_config_keys_n; i++) {
		const struct vs_config_key *k = &vs_config_keys[i];

		(void)json_array_append_new(
			keys, json_pack("{s:s,s:s,s:s?,s:s?,s:b,s:s}", "key", k->path, "type",
					types[k->type], "default", k->fallback, "allowed",
					k->allowed, "reload", k->now, "help", k->help));
	}
	return keys;
}
