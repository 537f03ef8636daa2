/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as libvirt's XML of a domain. `make fuzz` runs it.
 *
 * Bytes alone seldom are XML with a domain in it, so they are also tried as what
 * stands in the metadata of one.
 */
#include "discover/domain_xml.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vs_domain_message message, copy;

static void check(const char *s)
{
	json_t *j = json_string(s); /* NULL unless it is valid UTF-8 */

	if (!j)
		abort();
	json_decref(j);
}

static void parse(const char *xml, size_t size, const struct vs_label_rules *rules)
{
	struct vs_domain *d = &message.domain;

	memset(&message, 0, sizeof(message));
	message.type = VS_DOMAIN_IS;
	if (vs_domain_xml_parse(xml, size, rules, d))
		return;
	check(d->name);
	check(d->title);
	for (uint32_t i = 0; i < d->disks_n; i++)
		check(d->disks[i].path);
	for (uint32_t i = 0; i < d->labels_n; i++)
		check(d->labels[i].value);
	/* What is parsed is a message as it is: nothing is left to clean. */
	copy = message;
	if (!vs_domain_accept(&copy, sizeof(copy)) || memcmp(&copy, &message, sizeof(copy)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "<domain id='1'><name>a</name>"
				   "<uuid>0b3a1f5e-7c52-4d2b-9a44-2f0f6f9d1c11</uuid><metadata>";
	static const char tail[] = "</metadata></domain>";
	static char xml[16384];
	struct vs_label_rules rules = { 0 };
	int n;

	(void)vs_label_rules_add(&rules, "name", "a/b");
	(void)vs_label_rules_add(&rules, "flavor", "a/b/@c");
	(void)vs_label_rules_add(&rules, "deep", "a/a/a");
	parse((const char *)data, size, &rules);
	n = snprintf(xml, sizeof(xml), "%s%.*s%s", head, (int)size, (const char *)data, tail);
	if (n > 0 && (size_t)n < sizeof(xml))
		parse(xml, (size_t)n, &rules);
	return 0;
}
