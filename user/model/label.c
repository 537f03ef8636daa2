/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/label.h"

#include <string.h>

const struct vs_label_rules vs_label_rules_default = {
	.n = 2,
	.rule = { { "nova_name", "instance/name" }, { "nova_project", "instance/owner/project" } },
};

/* Ours, divided by commas, and those that Prometheus adds or computes with. */
static const char *const reserved[] = {
#define COLLECTOR(id, labels, each) labels,
#include "model/metrics.def"
	"host", "instance", "job", "le", "quantile",
};

static bool is_reserved(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		for (const char *at = reserved[i]; *at; at += *at == ',') {
			size_t len = strcspn(at, ",");

			if (len == n && strncmp(at, name, n) == 0)
				return true;
			at += len;
		}
	}
	return false;
}

/* Not isalpha(): whatever the locale, only ASCII. */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool vs_label_name_ok(const char *name)
{
	size_t n = strlen(name);

	/* Two underscores in front are Prometheus' own. */
	if (n == 0 || n >= VS_LABEL_NAME__N || !is_letter(name[0]) || strncmp(name, "__", 2) == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_letter(name[i]) && !is_digit(name[i]))
			return false;
	return !is_reserved(name);
}

/* XML's names, as far as they are ASCII; other bytes are taken as they come. */
static bool is_name_byte(char c, bool first)
{
	return is_letter(c) || (c & 0x80) || (!first && (is_digit(c) || c == '-' || c == '.'));
}

bool vs_label_path_ok(const char *path)
{
	size_t n = strlen(path);
	bool first = true, attribute = false;

	if (n == 0 || n >= VS_LABEL_PATH__N || path[0] == '@')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (path[i] == '/') {
			if (first || attribute)
				return false;
			first = true;
		} else if (path[i] == '@') {
			if (!first || attribute)
				return false;
			attribute = true;
		} else if (!is_name_byte(path[i], first)) {
			return false;
		} else {
			first = false;
		}
	}
	return !first;
}

const char *vs_label_rules_add(struct vs_label_rules *rules, const char *name, const char *path)
{
	struct vs_label_rule *rule;

	if (!vs_label_name_ok(name))
		return "is no free name: letters, digits and _, 32 at most, no label of virtscope's own";
	if (!vs_label_path_ok(path))
		return "has no valid path: names of elements with / between them, then perhaps /@attribute";
	for (uint32_t i = 0; i < rules->n; i++)
		if (strcmp(rules->rule[i].name, name) == 0)
			return "is there twice";
	if (rules->n == VS_LABEL__N)
		return "is one label too many: 8 there may be";
	rule = &rules->rule[rules->n++];
	memcpy(rule->name, name, strlen(name) + 1);
	memcpy(rule->path, path, strlen(path) + 1);
	return NULL;
}
