/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/domain_label.h"

#include "base/text.h"

#include <string.h>

/* Is the first name on @path that of @name? */
static bool is_called(const xmlChar *name, const char *path)
{
	size_t n = strcspn(path, "/");

	return strncmp((const char *)name, path, n) == 0 && name[n] == '\0';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The pieces of text from @node on, as one clean value. Return: whether there is any. */
static bool read_text(const xmlNode *node, char ret[VS_LABEL_VALUE__N])
{
	char raw[2 * VS_LABEL_VALUE__N]; /* so that its cut is never in what is kept */
	size_t n = 0;

	for (; node; node = node->next) {
		const char *piece = (const char *)node->content;

		if (node->type == XML_ELEMENT_NODE)
			return false;
		if ((node->type != XML_TEXT_NODE && node->type != XML_CDATA_SECTION_NODE) || !piece)
			continue;
		for (; *piece && n < sizeof(raw); piece++)
			if (n || !is_space(*piece))
				raw[n++] = *piece;
	}
	while (n && is_space(raw[n - 1]))
		n--;
	return vs_text_utf8(ret, VS_LABEL_VALUE__N, raw, n) > 0;
}

static bool read_attribute(const xmlNode *element, const char *name, char ret[VS_LABEL_VALUE__N])
{
	for (const xmlAttr *a = element->properties; a; a = a->next)
		if (is_called(a->name, name))
			return read_text(a->children, ret);
	return false;
}

/*
 * Depth first, so each element is looked at once for each rule. As deep as the
 * path has names, of which no path holds more than 64.
 */
static bool find(const xmlNode *parent, const char *path, char ret[VS_LABEL_VALUE__N])
{
	const char *rest = strchr(path, '/');

	if (*path == '@')
		return read_attribute(parent, path + 1, ret);
	for (const xmlNode *node = parent->children; node; node = node->next) {
		if (node->type != XML_ELEMENT_NODE || !is_called(node->name, path))
			continue;
		if (rest ? find(node, rest + 1, ret) : read_text(node->children, ret))
			return true;
	}
	return false;
}

void vs_domain_label_read(const xmlNode *root, const struct vs_label_rules *rules,
			  struct vs_domain *ret)
{
	memset(ret->labels, 0, sizeof(ret->labels));
	ret->labels_n = 0;
	for (uint32_t i = 0; rules && i < rules->n; i++) {
		struct vs_label *label = &ret->labels[ret->labels_n];
		char path[sizeof("metadata/") + VS_LABEL_PATH__N];

		(void)snprintf(path, sizeof(path), "metadata/%s", rules->rule[i].path);
		if (!find(root, path, label->value))
			continue;
		memcpy(label->name, rules->rule[i].name, sizeof(label->name));
		ret->labels_n++;
	}
}
