/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain_label.h - the <metadata> of a domain -> labels. Untrusted text.
 *
 * Anybody who may define a domain writes there, and clouds let their tenants
 * choose some of it. The tree is walked by name; neither configuration nor text
 * ever becomes an XPath expression.
 *
 * Layer:   discover
 * State:   none; pure
 * Threads: any. Linked into virtscope-libvirt only.
 */
#pragma once
#include "discover/domain.h"

#include <libxml/tree.h>

/* Sets labels and labels_n of @ret from the <metadata> below @root (<domain>) by
 * @rules, which may be NULL. Logs: never. */
void vs_domain_label_read(const xmlNode *root, const struct vs_label_rules *rules,
			  struct vs_domain *ret);
